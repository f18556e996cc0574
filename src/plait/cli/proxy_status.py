"""`plait proxy-status`: has every Envoy what it is told? Exit code 0 all have, 1 not all, 2 wrong usage."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import click
import typer

from plait.app.agent_paths import PROXIES
from plait.cli import agents, connect, output
from plait.local.layout import Layout

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    epilog="A proxy is node:NODE, or NAMESPACE/POD for a sidecar, waypoint or gateway: name one to see its types in "
    "full. SYNCED: it has answered for what it was told. STALE: it has not answered yet. REFUSED: it keeps an older "
    "configuration, and says why. NOT SENT: there is nothing for it. IGNORED: it never asked for this type."
)
def proxy_status(
    proxy: Annotated[str, typer.Argument(help="Only this proxy, type by type.")] = "",
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    form: Annotated[str, typer.Option("-o", "--output", help="table, json or yaml.")] = "table",
) -> int:
    """Show for every proxy whether it acknowledged its configuration, as its node's agent measured it."""
    if form not in output.FORMATS:
        raise click.UsageError(f"no output format {form!r}; use one of {', '.join(output.FORMATS)}")
    layout = Layout.of(name)
    nodes = list(connect.running(layout).nodes)
    answers, silent = asyncio.run(agents.each(layout, nodes, PROXIES))
    found = [each for node in nodes for each in answers.get(node, ())]
    if proxy:
        there = ", ".join(each["proxy"] for each in found)
        found = [each for each in found if each["proxy"] in (proxy, f"node:{proxy}")]
        if not found:
            raise click.UsageError(f"no proxy {proxy!r}; there is {there or 'none'}")
    shown: Any = found if form != "table" else _types(found[0]) if proxy else [_row(each) for each in found]
    print(output.render(shown, form))
    for node, why in silent.items():
        print(f"plait proxy-status: node {node}: {why}", file=sys.stderr)
    return 1 if silent or any(not _well(each) for each in found) else 0


def _well(each: dict[str, Any]) -> bool:
    return each["ready"] and each["connected"] and all(t["state"] != "REFUSED" for t in each["types"].values())


def _row(each: dict[str, Any]) -> dict[str, str]:
    states = {short: known["state"] for short, known in each["types"].items()}
    who = {"proxy": each["proxy"], "role": each["role"], "node": each["node"]}
    return {**who, "ready": "yes" if each["ready"] else "no", **states}


def _types(each: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "type": short,
            "state": known["state"],
            "resources": known["resources"],
            "refused": [f"{name}: {reason}" for name, reason in known["refused"].items()],
        }
        for short, known in each["types"].items()
    ]
