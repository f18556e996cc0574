"""`plait advise`: from traffic as measured and from what is bound, the cheapest mode of each workload."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Annotated, Any

import aiohttp
import msgspec
import typer

from plait.app import reading, usages
from plait.app.migration import traffic as measuring
from plait.app.migration import units as costs
from plait.app.migration.advice import CORE_MEGABYTES, Advice, Cost, advise
from plait.app.migration.units import Units
from plait.base.wellknown import METRICS_PORT, PROXY_CONTAINER
from plait.cli import connect, output
from plait.local.layout import Layout
from plait.resources.kinds import POD
from plait.trial import child
from plait.trial.scene import Scene

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_PATIENCE = 5.0


@app.command()
def main(
    namespace: Annotated[str, typer.Argument(metavar="[NS]", help="A namespace; else all.")] = "",
    seconds: Annotated[float, typer.Option(min=1.0, help="How long traffic is measured.")] = 10.0,
    core: Annotated[float, typer.Option(min=0.0, help="Gigabytes of memory that cost as much as a core.")] = (
        CORE_MEGABYTES / 1024
    ),
    form: Annotated[str, output.option()] = "table",
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
) -> int:
    """Measure, and say for each workload which mode keeps all that is bound to it at the least cost, and what it saves.

    Workloads outside the mesh are left there. Costs are traffic times CPU and memory of proxies, as those that run show
    it; where none does, or has too little to do, as the benchmarks measured. Each figure says which.
    """
    layout = Layout.of(name)
    connect.running(layout)
    found, units = asyncio.run(_advised(layout, namespace, seconds, core * 1024))
    if form != "table":
        print(output.render([_document(each, core * 1024, units) for each in found], form))
        return 0
    if not found:
        print(f"plait advise: no workloads{f' in {namespace}' if namespace else ''}", file=sys.stderr)
        return 1
    print(output.render([_row(each) for each in found], "table"))
    print("\n".join((*_words(found), "", *costs.words(units, seconds))))
    return 0


async def _advised(layout: Layout, namespace: str, seconds: float, core: float) -> tuple[tuple[Advice, ...], Units]:
    async with connect.connected(layout) as scene:
        urls = await _urls(scene)
        began, first, used = time.monotonic(), measuring.counted(await _pages(scene, urls)), await _usages(scene)
        await asyncio.sleep(seconds)
        second, took = measuring.counted(await _pages(scene, urls)), time.monotonic() - began
        mesh, traffic = await reading.read(scene.api), measuring.between(first, second, took)
        units = costs.measured(mesh, traffic, used, await _usages(scene), took)
        return advise(mesh, traffic, namespace, core, units), units


async def _usages(scene: Scene) -> costs.Usages:
    """What the Envoys of all nodes have used so far, by their agents' word."""
    plan = scene.record.plan
    hosts = (plan.node(number) for number, _ in enumerate(scene.record.nodes, start=1))
    pages = await _pages(scene, [f"http://{host}:{METRICS_PORT}{usages.PATH}" for host in hosts])
    return usages.read(page.encode() for page in pages)


async def _urls(scene: Scene) -> list[str]:
    """The page of each node, and of each pod with a proxy that reads HTTP."""
    plan = scene.record.plan
    hosts = [str(plan.node(number)) for number, _ in enumerate(scene.record.nodes, start=1)]
    pods, _ = await scene.api.list(POD)
    hosts += [pod["status"]["podIP"] for pod in pods if _proxied(pod) and (pod.get("status") or {}).get("podIP")]
    return [f"http://{host}:{METRICS_PORT}/stats/prometheus" for host in hosts]


def _proxied(pod: dict[str, Any]) -> bool:
    spec = pod["spec"]
    containers = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    return any(each["name"] == PROXY_CONTAINER for each in containers)


async def _pages(scene: Scene, urls: list[str]) -> list[str]:
    """Asked from inside the fabric. Who does not answer (a pod that just goes) is left out, and told."""

    async def work(stop: asyncio.Event) -> list[tuple[str, str]]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_PATIENCE)) as session:
            return list(await asyncio.gather(*(_page(session, url) for url in urls)))

    found = await asyncio.to_thread(child.start(work, scene.fabric, scene.holder).wait)
    for url, (_, why) in zip(urls, found, strict=True):
        if why:
            print(f"plait advise: not measured: {url}: {why}", file=sys.stderr)
    return [text for text, why in found if not why]


async def _page(session: aiohttp.ClientSession, url: str) -> tuple[str, str]:
    try:
        async with session.get(url) as answer:
            text = await answer.text()
            return (text, "") if answer.status == 200 else ("", f"HTTP {answer.status}")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return "", str(error) or f"no answer in {_PATIENCE:g} s"


def _row(each: Advice) -> dict[str, Any]:
    seen = each.traffic
    return {
        "workload": f"{each.namespace}/{each.name}",
        "pods": each.pods,
        "requests/s": f"{seen.requests_in:.1f} in, {seen.requests_out:.1f} out",
        "connections/s": f"{seen.connections_in:.1f} in, {seen.connections_out:.1f} out",
        "now": each.mode,
        "cheapest": _mode(each),
        "CPU": f"{each.now.millicores:.0f}m -> {each.then.millicores:.0f}m",
        "MB": f"{each.now.megabytes:.0f} -> {each.then.megabytes:.0f}",
        "not less, because": each.instead,
    }


def _mode(each: Advice) -> str:
    return f"{each.best} + waypoint" if each.then.waypoint else each.best


def _words(found: tuple[Advice, ...]) -> list[str]:
    moving = [each for each in found if each.best != each.mode]
    if not moving:
        return ["", "every workload is in its cheapest mode"]
    cpu = sum(each.now.millicores - each.then.millicores for each in moving)
    memory = sum(each.now.megabytes - each.then.megabytes for each in moving)
    lines = ["", f"saves about {cpu:.0f} millicores and {memory:.0f} MB:"]
    return lines + [f"  plait migrate plan {each.namespace}/{each.name} --to {each.best}" for each in moving]


def _document(each: Advice, core: float, units: Units) -> dict[str, Any]:
    saving = Cost(each.now.millicores - each.then.millicores, each.now.megabytes - each.then.megabytes)
    made: dict[str, Any] = msgspec.to_builtins(each)
    made["saving"] = {**msgspec.to_builtins(saving), "weighed": saving.weighed(core)}
    made["units"] = msgspec.to_builtins(units)
    return made
