"""`plait proxy restart`: put a new Envoy in charge of a node without ending a connection."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import aiohttp
import typer

from plait.app.agent_paths import RESTART
from plait.cli import connect, output
from plait.local.layout import Layout

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
_PATIENCE = 60.0


@app.callback()
def proxy() -> None:
    """What can be done to the node proxies."""


@app.command()
def restart(
    nodes: Annotated[list[str] | None, typer.Argument(help="Names of nodes.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every node, one after another.")] = False,
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    form: Annotated[str, output.option()] = "table",
) -> int:
    """Start another Envoy beside the running one; it takes all new connections, the old one ends with its last one.

    It reads its bootstrap anew and is the Envoy that is installed now: this is how a proxy is upgraded.
    """
    layout = Layout.of(name)
    known = connect.running(layout).nodes
    wanted = list(known) if every else (nodes or [])
    strangers = [node for node in wanted if node not in known]
    if not wanted or strangers or (every and nodes):
        why = f"no node {strangers[0]!r}" if strangers else "name nodes, or --all"
        print(f"plait proxy restart: {why}; this mesh has {', '.join(known)}", file=sys.stderr)
        return 2
    rows, failed = asyncio.run(_each(layout, wanted))
    if rows:
        print(output.render(rows, form))
    for node, error in failed.items():
        print(f"plait proxy restart: node {node}: {error}; its Envoy is the one it was", file=sys.stderr)
    return 1 if failed else 0


async def _each(layout: Layout, nodes: list[str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    rows: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for node in nodes:
        connector = aiohttp.UnixConnector(str(layout.command_socket(node)))
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(_PATIENCE)) as session,
                session.post(f"http://agent{RESTART}") as answer,
            ):
                if answer.status != 200:
                    failed[node] = await answer.text()
                    continue
                done = await answer.json()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            failed[node] = f"its agent does not answer: {error or type(error).__name__}"
            continue
        rows.append(
            {
                "node": node,
                "pid": done["pid"],
                "generation": done["generation"],
                "old pid": done["old_pid"],
                "connections left there": done["connections"],
                "took": f"{done['seconds']:.2f} s",
            }
        )
    return rows, failed
