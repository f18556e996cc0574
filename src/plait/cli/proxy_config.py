"""`plait proxy-config`: what one Envoy has, part by part, in its own words. Exit code 1 no answer, 2 wrong usage."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, Any

import click
import typer

from plait.app.agent_paths import DUMP, LOG, PROXIES
from plait.cli import agents, connect, output
from plait.diagnose import proxy_config as config
from plait.local.layout import Layout
from plait.resources.kinds import POD
from plait.store.api import ApiError

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_SHORT = {"ep": "endpoint", "bs": "bootstrap", "c": "cluster", "l": "listener", "r": "route", "s": "secret"}


class NoAnswer(click.ClickException):
    exit_code = 1


@app.command(
    epilog="PROXY is NAMESPACE/POD for a sidecar, waypoint or gateway, and node:NODE for a node's L4 proxy, which is "
    "also the proxy of every ambient pod on it; plait proxy-status lists them. Examples: plait proxy-config cluster "
    "shop/web-7c9 · plait proxy-config endpoint node:node-1 --match cart · plait proxy-config listener shop/waypoint-0 "
    "-o json. Private keys are never shown."
)
def proxy_config(
    part: Annotated[str, typer.Argument(help=f"all, or one of {', '.join(config.PARTS)}, log.")],
    proxy: Annotated[str, typer.Argument(help="NAMESPACE/POD or node:NODE.")],
    match: Annotated[str, typer.Option("--match", help="Only entries with this text in a name, host or address.")] = "",
    level: Annotated[
        str, typer.Option("--level", help="With log: debug, or rbac:debug,jwt:trace; until that Envoy ends.")
    ] = "",
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    form: Annotated[str, typer.Option("-o", "--output", help="table, json or yaml.")] = "table",
) -> int:
    """Show the clusters, listeners, routes, endpoints, secrets or bootstrap that an Envoy has now, or what it logs."""
    wanted = _SHORT.get(part, part)
    wanted = wanted if wanted in config.PARTS else wanted.removesuffix("s")
    if wanted not in (*config.PARTS, "all", "log"):
        raise click.UsageError(f"no part {part!r}; use all, {', '.join(config.PARTS)}, log")
    if level and wanted != "log":
        raise click.UsageError("--level goes with log: plait proxy-config log PROXY --level debug")
    if form not in output.FORMATS:
        raise click.UsageError(f"no output format {form!r}; use one of {', '.join(output.FORMATS)}")
    layout = Layout.of(name)
    nodes = list(connect.running(layout).nodes)
    if wanted == "log":
        levels = asyncio.run(_asked(layout, nodes, proxy, LOG, levels=level))
        shown: Any = [{"logger": name, "level": now} for name, now in levels.items() if match in name]
        print(output.render(shown, form))
        return 0
    answer = asyncio.run(_asked(layout, nodes, proxy, DUMP))
    dump = {"dump": answer["config"], "clusters": answer["clusters"]}
    parts = config.PARTS if wanted == "all" else (wanted,)
    found = {each: _matching(config.documents(each, **dump), match) for each in parts}
    print(output.render(found if wanted == "all" else found[wanted], form) if form != "table" else _tables(found))
    return 0


async def _asked(layout: Layout, nodes: list[str], proxy: str, path: str, **more: str) -> dict[str, Any]:
    """What the agent of the proxy's node answers about it."""
    listed, silent = await agents.each(layout, nodes, PROXIES)
    there = {each["proxy"]: node for node, found in listed.items() for each in found}
    if f"node:{proxy}" in there:
        proxy = f"node:{proxy}"
    if proxy not in there:
        quiet = "".join(f"; node {node} was not asked, {why}" for node, why in silent.items())
        known = ", ".join(there) or "none"
        whose = await _of_its_node(layout, proxy)
        text = f"{proxy} has no Envoy of its own; there is {known}{quiet}. {whose}"
        raise click.UsageError(text) if not silent else NoAnswer(text)
    try:
        query, method = {"proxy": proxy, **more}, "POST" if path == LOG else "GET"
        return dict(await agents.get(layout, there[proxy], path, query, method=method))
    except (agents.Silent, agents.Refused) as error:
        raise NoAnswer(f"{proxy}: {str(error).partition(chr(10))[0]}") from error


async def _of_its_node(layout: Layout, pod: str) -> str:
    """Which proxy to ask about instead, where the pod is known."""
    namespace, _, name = pod.rpartition("/")
    async with connect.connected(layout) as scene:
        with suppress(ApiError):
            node = (await scene.api.get(POD, name, namespace or "default"))["spec"].get("nodeName")
            return f"That pod's node is {node}: say node:{node}"
    return "An ambient pod's is its node's"


def _matching(found: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Resources that have the text anywhere: in a name, a domain, an address."""
    return [each for each in found if not text or text in output.render(each, "json")]


def _tables(found: dict[str, list[dict[str, Any]]]) -> str:
    parts = []
    for part, documents in found.items():
        rows = config.rows(part, documents)
        table = output.render(rows, "table") if rows else "  none"
        parts.append(table if len(found) == 1 else f"{part}\n{table}")
    return "\n\n".join(parts)
