"""`plait bench waypoint`: how fast a waypoint comes, what is lost while it comes and goes, and what it costs.

A start: from the write of the Gateway to the first request answered through it, or the longest that requests wait for
one that sleeps; cold with an Envoy that has to be started, warm with one that runs in the pool already. Attached: from
the label that asks for a running waypoint. Latency and CPU are measured side by side on one pair of pods, interleaved:
`none` outside the mesh, `l4` without and `waypoint` with a waypoint on the way.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path

from plait.base import aio, wellknown
from plait.resources import kinds
from plait.store.api import Document
from plait.trial import child, cold_start, load, talk, usage, waypoints
from plait.trial.scene import Pod, Scene, until

Tell = Callable[[str], None]
_BEHIND = "echo-l7"
"""A second Service of the same pods, the only one behind the waypoint."""
_EVERY = 0.02
"""Seconds between two requests that ask whether the waypoint answers: asking takes CPU from what is waited for."""
_PATIENCE = 30.0
_PAUSE = 0.5
_GUARDED_PAUSE = 2.5
"""A guard and its way come, and go, one a second after the other."""


@dataclass(slots=True)
class Report:
    rows: list[Document] = field(default_factory=list)
    costs: list[Document] = field(default_factory=list)
    stretches: list[Document] = field(default_factory=list)
    """Of a cold start."""
    starts: list[Document] = field(default_factory=list)
    """Cold ones in the namespace, and warm ones: managed, by a proxy that runs already."""

    def start(self, what: str, cold: list[float], warm: list[float]) -> None:
        self.starts.append({"what": what, "cold": _spread(cold), "warm": _spread(warm), "of": len(cold)})

    def times(self, what: str, values: list[float]) -> None:
        self.rows.append({"what": what, "result": _spread(values), "of": len(values)})

    def count(self, what: str, result: str, of: int) -> None:
        self.rows.append({"what": what, "result": result, "of": of})


def _spread(values: list[float]) -> str:
    low, middle, high = (round(f(values) * 1e3) for f in (min, statistics.median, max))
    return f"{middle} ms ({low}–{high})"


@dataclass(frozen=True, slots=True)
class _Way:
    """One mode: who asks for which address, and the pids of all Envoys on the way."""

    client: Pod
    host: str
    proxies: tuple[int, ...]


async def run(
    scene: Scene, samples: Path, *, rounds: int, flips: int, blocks: int, seconds: float, tell: Tell
) -> Report:
    report = Report()
    await scene.apply(samples / "bench" / "pair.yaml")
    await scene.wait_ready(["bench-none", waypoints.NAMESPACE])
    client, server = await waypoints.captured(scene)
    await scene.api.create(kinds.SERVICE, _behind())
    host = await waypoints.address(scene, _BEHIND)

    cold = await _cold(scene, client, host, rounds, report, tell)
    attached = []
    for _ in range(rounds):
        await _label(scene, None)
        await until(lambda: _straight(scene, client, host), _PATIENCE)
        began, answered = await _until_through(scene, client, host, lambda: _label(scene, waypoints.NAME))
        attached.append(answered - began)
    report.times("attached: label to first answer through it", attached)
    zero = await _from_zero(scene, client, host, rounds, report, tell)
    warm, warm_zero = await _warm(scene, client, host, rounds, report, tell)
    report.start("Gateway written to first answer", cold, warm)
    report.start("asleep: the longest wait of a request at 100 rps", zero, warm_zero)
    await _flips(scene, client, host, flips, report)
    await _split(scene, client, host, report)
    await _costs(scene, client, server, host, blocks, seconds, report, tell)
    return report


async def _cold(scene: Scene, client: Pod, host: str, rounds: int, report: Report, tell: Tell) -> list[float]:
    cold = []
    for number in range(rounds):
        if number:
            await waypoints.remove(scene)
        async with cold_start.followed(scene.api, waypoints.NAMESPACE, waypoints.NAME) as following:
            began, answered = await _until_through(scene, client, host, lambda: _create(scene))
        moments = following.moments | cold_start.of_files(scene.layout.proxies / following.uid)
        cold.append(moments | {"written": began, "answered": answered})
        tell(f"cold start {number + 1}: {(answered - began) * 1e3:.0f} ms")
    report.stretches = cold_start.summary(cold)
    return [each["answered"] - each["written"] for each in cold]


async def _warm(
    scene: Scene, client: Pod, host: str, rounds: int, report: Report, tell: Tell
) -> tuple[list[float], list[float]]:
    """A managed waypoint that finds a warm proxy: new, and when it is called in its sleep."""

    async def warmed() -> None:
        await waypoints.keep_warm(scene, 1)

    new = []
    for number in range(rounds):
        await waypoints.remove(scene)
        await warmed()
        began, answered = await _until_through(scene, client, host, lambda: _create(scene, placement="managed"))
        new.append(answered - began)
        tell(f"warm start {number + 1}: {new[-1] * 1e3:.0f} ms")
    woken = await _from_zero(scene, client, host, rounds, report, tell, "warm, ", warmed)
    await waypoints.remove(scene)
    await waypoints.keep_warm(scene, 0)
    await _create(scene)
    await until(lambda: waypoints.through(scene, client, host), 60.0)
    return new, woken


async def _nothing() -> None:
    """To prepare."""


async def _from_zero(
    scene: Scene,
    client: Pod,
    host: str,
    rounds: int,
    report: Report,
    tell: Tell,
    how: str = "",
    prepare: Callable[[], Coroutine[object, object, None]] = _nothing,
) -> list[float]:
    """100 requests a second at once to a waypoint that sleeps, a connection each: the longest wait is its start."""
    waited, lost, sent = [], Counter[str](), 0
    plan = load.Plan(host, waypoints.HTTP, rate=100.0, seconds=2.0, connections=100, keep_alive=False)
    await _may_sleep(scene, "1s")
    for number in range(rounds):
        await until(lambda: waypoints.absent(scene), 60.0)
        await prepare()
        result = await scene.inside(client, lambda stop: load.run(plan, stop))
        waited.append(result.percentile(1.0))
        lost += result.lost
        sent += result.sent
        tell(f"{how}from zero {number + 1}: {waited[-1] * 1e3:.0f} ms")
    await _may_sleep(scene, "never")
    await until(lambda: waypoints.through(scene, client, host), 60.0)
    report.count(f"lost {how}from zero at 100 rps", f"{lost.total()} lost {dict(lost)}", sent)
    return waited


async def _may_sleep(scene: Scene, after: str) -> None:
    """Where it is placed stays as it is."""
    body = {"spec": {"infrastructure": {"annotations": {"plait.dev/scale-to-zero": after}}}}
    await scene.api.patch(kinds.GATEWAY, waypoints.NAME, body, waypoints.NAMESPACE)


def _behind() -> Document:
    metadata = {
        "name": _BEHIND,
        "namespace": waypoints.NAMESPACE,
        "labels": {wellknown.USE_WAYPOINT: waypoints.NAME},
    }
    spec = {"selector": {"app": "echo"}, "ports": [{"name": "http", "port": waypoints.HTTP}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


async def _create(scene: Scene, **operation: str) -> None:
    await scene.api.create(kinds.GATEWAY, waypoints.waypoint(**operation))


async def _label(scene: Scene, value: str | None) -> None:
    body = {"metadata": {"labels": {wellknown.USE_WAYPOINT: value}}}
    await scene.api.patch(kinds.SERVICE, _BEHIND, body, waypoints.NAMESPACE)


async def _straight(scene: Scene, client: Pod, host: str) -> str:
    reply = await waypoints.ask(scene, client, host)
    return "" if reply.status == 200 and not waypoints.passed(reply) else "requests still pass the waypoint"


async def _until_through(
    scene: Scene, client: Pod, host: str, change: Callable[[], Coroutine[object, object, None]]
) -> tuple[float, float]:
    """When the change was begun, and when the first answer came through the waypoint."""
    asking = child.start(lambda _: _first(host), client.netns, scene.holder)
    asking.wait_started()
    began = time.perf_counter()
    await change()
    return began, await asyncio.get_running_loop().run_in_executor(None, asking.wait)


async def _first(host: str) -> float:
    """When a request was first answered through a waypoint; one is sent every few milliseconds whatever comes of it."""
    found: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def once() -> None:
        reply = await talk.get(host, waypoints.HTTP)
        if waypoints.passed(reply) and not found.done():
            found.set_result(time.perf_counter())

    child.started()
    async with asyncio.timeout(_PATIENCE):
        while not found.done():
            aio.spawn(once(), "a request to the waypoint")
            await asyncio.wait([found], timeout=_EVERY)
    return found.result()


async def _flips(scene: Scene, client: Pod, host: str, flips: int, report: Report) -> None:
    plan = load.Plan(host, waypoints.HTTP, rate=100.0)
    what = f"{flips} times detached and attached at 100 rps"
    report.count(what, *await _flipped(scene, client, plan, flips, _PAUSE))
    few = max(2, flips // 4)
    await scene.api.create(kinds.AUTHORIZATION_POLICY, waypoints.policy())
    what = f"{few} times with a policy bound, at 100 rps, a connection each"  # a guard cuts those that go straight
    report.count(what, *await _flipped(scene, client, replace(plan, keep_alive=False), few, _GUARDED_PAUSE))
    await scene.api.delete(kinds.AUTHORIZATION_POLICY, waypoints.NAME, waypoints.NAMESPACE)


async def _flipped(scene: Scene, client: Pod, plan: load.Plan, flips: int, pause: float) -> tuple[str, int]:
    """What was lost, of how many."""
    loading = child.start(lambda stop: load.run(plan, stop), client.netns, scene.holder)
    await asyncio.sleep(1.0)
    for number in range(flips):
        await _label(scene, None if number % 2 == 0 else waypoints.NAME)
        await asyncio.sleep(pause)
    await _label(scene, waypoints.NAME)
    await asyncio.sleep(pause)
    result = await asyncio.get_running_loop().run_in_executor(None, loading.finish)
    return f"{result.lost_total} lost {dict(result.lost)}", result.sent


async def _split(scene: Scene, client: Pod, host: str, report: Report) -> None:
    """A share of 20 goes to a backend that does not exist, which is answered with 500: so statuses count the shares."""
    ends = [
        {"name": _BEHIND, "port": waypoints.HTTP, "weight": 80},
        {"name": "missing", "port": waypoints.HTTP, "weight": 20},
    ]
    await scene.api.create(kinds.HTTP_ROUTE, waypoints.route(_BEHIND, {"backendRefs": ends}))

    async def split() -> str:
        found = [(await waypoints.ask(scene, client, host)).status for _ in range(10)]
        return "" if 500 in found else "the route is not applied yet"

    await until(split, _PATIENCE)
    plan = load.Plan(host, waypoints.HTTP, rate=400.0, seconds=5.0)
    result = await scene.inside(client, lambda stop: load.run(plan, stop))
    await scene.api.delete(kinds.HTTP_ROUTE, _BEHIND, waypoints.NAMESPACE)
    share = 100 * result.statuses[500] / max(1, sum(result.statuses.values()))
    report.count("weights 80 and 20: share of the second", f"{share:.1f} %", sum(result.statuses.values()))


async def _costs(
    scene: Scene, client: Pod, server: Pod, host: str, blocks: int, seconds: float, report: Report, tell: Tell
) -> None:
    nodes = [scene.layout.netns(pod.node) for pod in (client, server)]
    own, _ = await scene.api.list(kinds.POD, waypoints.NAMESPACE, labels=f"{wellknown.GATEWAY_NAME}={waypoints.NAME}")
    between = [scene.layout.pod_netns(pod["metadata"]["uid"]) for pod in own]
    outside = await scene.pod("bench-none", "client")
    there = str((await scene.api.get(kinds.SERVICE, "echo", "bench-none"))["spec"]["clusterIP"])
    straight = await waypoints.address(scene, "echo")
    shared, all_of_them = tuple(usage.proxies(nodes)), tuple(usage.proxies([*nodes, *between]))
    ways = {
        "none": _Way(outside, there, shared),
        "l4": _Way(client, straight, all_of_them),
        "waypoint": _Way(client, host, all_of_them),
    }
    cases = {
        "keep-alive 200 rps": load.Plan("", waypoints.HTTP, rate=200.0, seconds=seconds, connections=8),
        "connection each 50 rps": load.Plan(
            "", waypoints.HTTP, rate=50.0, seconds=seconds, connections=8, keep_alive=False
        ),
    }
    found: dict[tuple[str, str], list[tuple[load.Result, float]]] = {}
    for block in range(blocks):
        for mode in list(ways) if block % 2 == 0 else list(ways)[::-1]:
            for case, plan in cases.items():
                found.setdefault((case, mode), []).append(await _block(scene, ways[mode], plan))
        tell(f"block {block + 1} of {blocks}")
    for case in cases:
        for mode in ways:
            report.costs.append(_cost(case, mode, found[case, mode]))


async def _block(scene: Scene, way: _Way, plan: load.Plan) -> tuple[load.Result, float]:
    """The result, and CPU seconds of all Envoys for each request."""
    due = replace(plan, host=way.host)
    before = usage.measure(list(way.proxies)).cpu
    result = await scene.inside(way.client, lambda stop: load.run(due, stop))
    return result, (usage.measure(list(way.proxies)).cpu - before) / max(1, result.sent)


def _cost(case: str, mode: str, found: list[tuple[load.Result, float]]) -> Document:
    def spread(values: list[float], digits: int, unit: float) -> str:
        low, middle, high = (f"{f(values) / unit:.{digits}f}" for f in (min, statistics.median, max))
        return f"{middle} ({low}–{high})"

    return {
        "case": case,
        "mode": mode,
        "p50_ms": spread([each.percentile(0.5) for each, _ in found], 2, 1e-3),
        "p99_ms": spread([each.percentile(0.99) for each, _ in found], 2, 1e-3),
        "cpu_us": spread([cpu for _, cpu in found], 0, 1e-6),
        "lost": sum(each.lost_total for each, _ in found),
        "blocks": len(found),
    }
