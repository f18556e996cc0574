"""`plait status`: what of a mesh runs, what was measured about it, and what is wrong."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from typing import Annotated, Any

import aiohttp
import typer

from plait.app import processes
from plait.app.overview import Answers, Overview, survey
from plait.base.wellknown import METRICS_PORT, STATUS_PORT
from plait.cli import connect, output
from plait.local.layout import Layout
from plait.local.record import Record
from plait.resources.kinds import NAMESPACE, NODE, POD
from plait.store.api import ApiError
from plait.trial import child
from plait.trial.scene import Scene

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_PATIENCE = 2.0
Page = tuple[Any, str]
"""The JSON of a page, and why there is none."""


@app.command()
def status(
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    form: Annotated[str, typer.Option("-o", "--output", help="table, json or yaml.")] = "table",
) -> int:
    """Show the mesh's processes, nodes and enrolled pods as measured now, and every problem with its way out.

    "captured" is what the node's agent verified in the pod, not what the label asks for.
    Exit code 0 when all is well, 1 when something is wrong, 2 for wrong usage.
    """
    if form not in output.FORMATS:
        print(f"plait status: no output format {form!r}; use one of {', '.join(output.FORMATS)}", file=sys.stderr)
        return 2
    layout = Layout.of(name)
    record = connect.running(layout)
    overview = asyncio.run(_asked(layout))
    whole = {"mesh": name, "state": record.state, "healthy": overview.healthy, **asdict(overview)}
    print(output.render(whole, form) if form != "table" else _tables(record, overview))
    return 0 if overview.healthy else 1


async def _asked(layout: Layout) -> Overview:
    async with connect.connected(layout) as scene:
        pages = await _pages(scene)
        objects, silence = await _objects(scene)
    silent = {part: why for part, (_, why) in pages.items() if why} | silence
    agents = {part: page for part, (page, why) in pages.items() if not why and part in scene.record.nodes}
    problems = tuple(pages["control plane"][0] or ())
    answers = Answers(**objects, agents=agents, problems=problems, silent=silent)
    return survey(scene.record.nodes, _processes(layout, scene.record, agents), answers)


async def _objects(scene: Scene) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        async with asyncio.timeout(_PATIENCE):
            found = [tuple((await scene.api.list(kind))[0]) for kind in (NODE, POD, NAMESPACE)]
    except (ApiError, OSError, TimeoutError) as error:
        return {}, {"API server": str(error) or f"no answer in {_PATIENCE:g} s"}
    return dict(zip(("nodes", "pods", "namespaces"), found, strict=True)), {}


async def _pages(scene: Scene) -> dict[str, Page]:
    """Asked from inside the fabric: without root the host does not reach it."""
    plan = scene.record.plan
    urls = {"control plane": f"http://{plan.control}:{STATUS_PORT}/debug/problems"}
    for number, node in enumerate(scene.record.nodes, start=1):
        urls[node] = f"http://{plan.node(number)}:{METRICS_PORT}/status"

    async def work(stop: asyncio.Event) -> dict[str, Page]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_PATIENCE)) as session:
            pages = await asyncio.gather(*(_page(session, url) for url in urls.values()))
        return dict(zip(urls, pages, strict=True))

    try:
        return await asyncio.to_thread(child.start(work, scene.fabric, scene.holder).wait)
    except child.ChildError as error:
        why = f"the mesh's network cannot be entered: {str(error).strip().splitlines()[-1]}"
        return dict.fromkeys(urls, (None, why))


async def _page(session: aiohttp.ClientSession, url: str) -> Page:
    try:
        async with session.get(url) as answer:
            return (await answer.json(), "") if answer.status == 200 else (None, f"{url}: HTTP {answer.status}")
    except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
        return None, f"{url}: {str(error) or f'no answer in {_PATIENCE:g} s'}"


def _processes(layout: Layout, record: Record, agents: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [{**processes.measured("supervisor", record.supervisor.pid), "restarts": 0, "problem": ""}]
    for part in processes.load(layout):
        problem = ""
        if not part.id.alive():
            problem = f"not running ({part.last_end or 'it just ended'}), being restarted; see logs/{part.name}.log"
        rows.append({**processes.measured(part.name, part.id.pid), "restarts": part.restarts, "problem": problem})
    for node, page in agents.items():
        if pid := page["envoy"]["pid"]:
            measured = processes.measured(f"envoy {node}", pid)
            rows.append({**measured, "restarts": page["envoy"]["restarts"], "problem": ""})
    return rows


def _tables(record: Record, overview: Overview) -> str:
    rows = [{**row, "uptime": f"{row['uptime']} s", "memory": f"{row['memory']} MB"} for row in overview.processes]
    kind = "rootless" if record.rootless else "as root"
    parts = [f"mesh {record.name} ({kind}, API server 127.0.0.1:{record.port})", output.render(rows, "table")]
    for title, rows in (
        ("nodes", overview.nodes),
        ("enrolled pods", overview.pods),
        ("configuration of the proxies", overview.configuration),
    ):
        parts += ["", title, output.render(rows, "table") if rows else "  none"]
    verdict = ["healthy"] if overview.healthy else [f"{len(overview.problems)} problems", *overview.problems]
    return "\n".join([*parts, "", *verdict[:1], *(f"  {line}" for line in verdict[1:])])
