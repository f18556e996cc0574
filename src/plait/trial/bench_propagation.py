"""`plait bench propagation`: from a written route to the waypoint that acts by it, with many services in the mesh.

Each route redirects to a host that names its version, so the answer tells what the proxy has: a change counts as
applied when a request of the client pod is answered by it. That includes the API server, the control plane, the node's
agent, Envoy, and up to one interval of the client. Where the time goes, each process on the way notes by itself.
Routes are of one kind (`KINDS`): HTTPRoutes or VirtualServices.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from plait.app.agent import TIMINGS
from plait.base.wellknown import DRAIN_SECONDS, METRICS_PORT, STATUS_PORT
from plait.envoy import names as envoy_names
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import Document
from plait.trial import child, load, waypoints
from plait.trial.scene import Pod, Scene, finished, until
from plait.trial.stages import Noted, Stages

Tell = Callable[[str], None]
KINDS: Final = {"HTTPRoute": kinds.HTTP_ROUTE, "VirtualService": kinds.VIRTUAL_SERVICE}
_WRITERS = 8
_BETWEEN = 0.2  # seconds between two measured changes
_DRAINED = 2.0 * DRAIN_SECONDS  # until Envoy has let go of the chains that it had while services came
_AT_ONCE = 20.0  # changes a second while requests are counted


@dataclass(slots=True)
class Report:
    services: int
    kind: Kind = kinds.HTTP_ROUTE
    written: list[float] = field(default_factory=list)
    """Seconds from sending the write to its being stored."""
    applied: list[float] = field(default_factory=list)
    """Seconds from sending the write to the first answer by it."""
    stages: Stages = field(default_factory=Stages)
    edits: int = 0
    requests: int = 0
    lost: dict[str, int] = field(default_factory=dict)

    def rows(self) -> list[Document]:
        return [
            _row("write stored by the API server", self.written),
            _row(f"{self.kind.kind} changed to first answer by it", self.applied),
            *(_row(f"  until {name}", took) for name, took in self.stages.took.items() if took),
            {
                "what": f"{self.edits} edits under load",
                "unit": "requests",
                "of": self.requests,
                "lost": sum(self.lost.values()),
                "note": ", ".join(f"{reason}: {count}" for reason, count in self.lost.items()),
            },
        ]


async def run(scene: Scene, samples: Path, kind: Kind, services: int, changes: int, edits: int, tell: Tell) -> Report:
    await scene.apply(samples / "bench" / "pair.yaml")
    await scene.wait_ready([waypoints.NAMESPACE])
    client, _ = await waypoints.captured(scene)
    await waypoints.attach(scene)
    await scene.api.create(kinds.GATEWAY, waypoints.waypoint())
    echo = await waypoints.address(scene, "echo")
    await until(lambda: waypoints.through(scene, client, echo), 60.0)
    report, names = Report(services, kind), [f"s{number}" for number in range(services)]
    began = time.perf_counter()
    await _each(names, lambda name: _create(scene, kind, name))
    first = await waypoints.address(scene, names[0])
    await _edit(scene, kind, names[0], "settled.example")
    await until(lambda: _redirected(scene, client, first, "settled.example"), 300.0)
    tell(f"{services} services and routes in {time.perf_counter() - began:.1f} s")
    await asyncio.sleep(_DRAINED)
    await _measure(scene, client, first, names[0], changes, report)
    tell(f"p50 {statistics.median(report.applied) * 1e3:.0f} ms over {changes} changes")
    await _edit_under_load(scene, client, echo, names, edits, report)
    return report


async def _create(scene: Scene, kind: Kind, name: str) -> None:
    spec = {"ports": [{"name": "http", "port": waypoints.HTTP}]}
    metadata = {"name": name, "namespace": waypoints.NAMESPACE}
    await scene.api.create(kinds.SERVICE, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    await scene.api.create(kind, _redirecting(kind, name, "v0.example"))


async def _redirected(scene: Scene, client: Pod, host: str, version: str) -> str:
    """ "" when the waypoint has done all that was written before this version."""
    reply = await waypoints.ask(scene, client, host)
    return "" if version in reply.location else f"{reply.status} to {reply.location or 'nowhere'}"


async def _measure(scene: Scene, client: Pod, host: str, name: str, changes: int, report: Report) -> None:
    versions = [f"v{number}.example" for number in range(1, changes + 1)]
    watching = child.start(lambda _: _versions(host, versions[-1]), client.netns, scene.holder)
    watching.wait_started()
    sent: list[float] = []
    for version in versions:
        sent.append(time.monotonic())
        await _edit(scene, report.kind, name, version)
        report.written.append(time.monotonic() - sent[-1])
        await asyncio.sleep(_BETWEEN)
    seen = await asyncio.get_running_loop().run_in_executor(None, watching.wait)
    report.applied += applied(versions, sent, seen)
    noted = await _noted(scene)
    for at, written, took in zip(sent, report.written, report.applied, strict=True):
        report.stages.add(at, at + written, at + took, noted)


async def _noted(scene: Scene) -> Noted:
    """Of routes, from the control plane and from the agents of all nodes."""
    plan = scene.record.plan
    control = f"http://{plan.control}:{STATUS_PORT}/debug/timings"
    agents = [
        f"http://{plan.node(number)}:{METRICS_PORT}{TIMINGS}" for number, _ in enumerate(scene.record.nodes, start=1)
    ]

    async def work(_: asyncio.Event) -> list[Document]:
        async with aiohttp.ClientSession() as session:
            return [await (await session.get(url)).json() for url in (control, *agents)]

    above, *nodes = await finished(child.start(work, scene.fabric, scene.holder))
    return Noted(above["runs"], _routes(above), sorted(each for node in nodes for each in _routes(node)))


def _routes(page: Document) -> list[tuple[float, float]]:
    return sorted((sent, at) for url, sent, at in page["answered"] if url == envoy_names.ROUTE)


def applied(versions: list[str], sent: list[float], seen: dict[str, float]) -> list[float]:
    """Seconds until each version, or a later one that overtook it, was first seen. The last one was."""
    found: list[float] = []
    first = float("inf")
    for version, at in zip(reversed(versions), reversed(sent), strict=True):
        first = min(first, seen.get(version, first))
        found.append(first - at)
    return found[::-1]


async def _edit_under_load(scene: Scene, client: Pod, echo: str, names: list[str], edits: int, report: Report) -> None:
    """Routes of all services in turn, and one in ten of the service that is under load."""
    plan = load.Plan(echo, waypoints.HTTP, rate=100.0)
    loading = child.start(lambda stop: load.run(plan, stop), client.netns, scene.holder)
    kind = report.kind
    await scene.api.create(kind, _leading(kind, "/e"))
    began = time.perf_counter()
    for number in range(edits):
        if number % 10:
            await _edit(scene, kind, names[number % len(names)], f"e{number}.example")
        else:
            body = {"spec": _leading(kind, f"/e{number}")["spec"]}
            await scene.api.patch(kind, "echo", body, waypoints.NAMESPACE)
        if (wait := began + (number + 1) / _AT_ONCE - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
    result = await asyncio.get_running_loop().run_in_executor(None, loading.finish)
    report.edits, report.requests, report.lost = edits, result.sent, dict(result.lost)


async def _edit(scene: Scene, kind: Kind, name: str, version: str) -> None:
    body = {"spec": _redirecting(kind, name, version)["spec"]}
    await scene.api.patch(kind, name, body, waypoints.NAMESPACE)


def _redirecting(kind: Kind, name: str, version: str) -> Document:
    if kind is kinds.HTTP_ROUTE:
        return waypoints.route(name, waypoints.redirect(version))
    return waypoints.virtual_service(name, {"redirect": {"authority": version}})


def _leading(kind: Kind, path: str) -> Document:
    """To the service under load, by two rules: one of this path."""
    if kind is kinds.HTTP_ROUTE:
        weighted = {"backendRefs": [{"name": "echo", "port": waypoints.HTTP}]}
        match = {"matches": [{"path": {"type": "PathPrefix", "value": path}}], **weighted}
        return waypoints.route("echo", match, weighted)
    there = {"route": [{"destination": {"host": "echo"}}]}
    return waypoints.virtual_service("echo", {"match": [{"uri": {"prefix": path}}], **there}, there)


async def _each(names: list[str], work: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    waiting = iter(names)

    async def worker() -> None:
        for name in waiting:
            await work(name)

    await asyncio.gather(*(worker() for _ in range(_WRITERS)))


async def _versions(host: str, last: str) -> dict[str, float]:
    """When each version was first seen, on one kept connection; returns with the last one."""
    reader, writer = await asyncio.open_connection(host, waypoints.HTTP)
    found: dict[str, float] = {}
    under_way = False
    request = f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
    while last not in found:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        for line in head.splitlines():
            if line.lower().startswith("location:"):
                found.setdefault(line.split("//", 1)[1].split("/", 1)[0].split(":", 1)[0], time.monotonic())
        if found and not under_way:
            under_way = True
            child.started()
        await asyncio.sleep(0.002)
    writer.close()
    return found


def _row(what: str, values: list[float]) -> Document:
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    p50, most = statistics.median(ordered) * 1e3, ordered[-1] * 1e3
    figures = {"p50": round(p50, 1), "p99": round(p99 * 1e3, 1), "max": round(most, 1)}
    return {"what": what, "unit": "ms", **figures, "of": len(values)}
