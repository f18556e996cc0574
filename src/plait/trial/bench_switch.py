"""`plait bench switch`: workloads go through all modes again and again under load, and every answer is judged.

Two Services have the same pods, on a port each. `plain` goes from sidecar to L4 to a waypoint and back. `guarded` has a
DENY policy of a path, which only an L7 proxy can judge: its enforcement point moves from the sidecars to the waypoint
before the sidecars go, and back when they are there again, as `plait migrate` does it. So what is right is known at
every moment: `plain` and the open path of `guarded` are served, the denied path is refused with 403.

Pods get and lose a sidecar by being made anew, so no connection to them can outlive a switch. The long connections go
to a pod that stays (`held`) and switches between L4 and waypoint in the same cycles.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from plait.base.wellknown import DATAPLANE_MODE, INJECT, USE_WAYPOINT
from plait.resources import kinds
from plait.store.api import Document
from plait.trial import child, held, kept_logs, load, rolling
from plait.trial.scene import Scene, until

Member = Literal["ambient", "sidecar"]
Stream = Literal["plain", "open", "denied"]
NAMESPACE: Final = "switch"
CLIENTS: Final[tuple[Member, ...]] = ("ambient", "sidecar")
DENIED: Final = "/denied"
STREAMS: Final[dict[Stream, tuple[str, str, int]]] = {
    "plain": ("plain", "/", 200),
    "open": ("guarded", "/", 200),
    "denied": ("guarded", DENIED, 403),
}
"""Service, path, and the status that is right at every moment."""
_PORTS: Final = {"plain": 8080, "guarded": 8090, "held": 8080}
_WAYPOINT, _PATIENCE = "waypoint", 300.0
_LABELS: Final[dict[Member, dict[str, str | None]]] = {
    "ambient": {INJECT: "false", DATAPLANE_MODE: "ambient"},
    "sidecar": {INJECT: "true", DATAPLANE_MODE: None},
}
_ATTACHED: Final[dict[str, str | None]] = {USE_WAYPOINT: _WAYPOINT}
_DETACHED: Final[dict[str, str | None]] = {USE_WAYPOINT: None}


@dataclass(frozen=True, slots=True)
class Wanted:
    cycles: int = 200
    rate: float = 200.0
    connections: int = 50


QUICK = Wanted(cycles=5)


@dataclass(frozen=True, slots=True)
class Judged:
    """One stream of requests: how many, and those that were lost or judged wrong, when and how."""

    stream: Stream
    client: str
    sent: int
    lost: tuple[load.Lost, ...]


@dataclass(slots=True)
class Report:
    """`steps`: (when it began, in seconds since the load did, and what it was, how long it took)."""

    streams: list[Judged] = field(default_factory=list)
    steps: list[tuple[float, str, float]] = field(default_factory=list)
    held: list[held.Held] = field(default_factory=list)
    cycles: int = 0

    def rows(self) -> list[dict[str, Any]]:
        rows = [self._row(stream) for stream in STREAMS]
        rows.append(_gaps(self.streams))
        opened = sum(each.opened for each in self.held)
        broken = sum((each.broken for each in self.held), Counter[str]())
        rows.append(_said("long connections", opened, broken.total(), _counted(broken)))
        for name in dict.fromkeys(name for _, name, _ in self.steps):
            took = [seconds for _, step, seconds in self.steps if step == name]
            spread = f"{statistics.median(took):.2f} s ({min(took):.2f}–{max(took):.2f})"
            rows.append(_said(f"switch: {name}", len(took), None, spread))
        return rows

    def _row(self, stream: Stream) -> dict[str, Any]:
        """What was not right, and during which steps."""
        mine = [each for each in self.streams if each.stream == stream]
        wrong = [lost for each in mine for lost in each.lost]
        service, path, right = STREAMS[stream]
        reasons = Counter(f"{each.reason} {during(self.steps, each.at)}" for each in wrong)
        name = f"requests to {service}{path}: not {right}"
        return _said(name, sum(each.sent for each in mine), len(wrong), _counted(reasons))

    @property
    def held_true(self) -> bool:
        """Nothing lost, nothing misjudged, no connection broken."""
        return not any(each.lost for each in self.streams) and not any(each.broken for each in self.held)


def _gaps(streams: Iterable[Judged]) -> dict[str, Any]:
    """The one thing that must not happen at all: a denied request that was served."""
    mine = [each for each in streams if each.stream == "denied"]
    served = sum(lost.reason.startswith(("status 2", "status 3")) for each in mine for lost in each.lost)
    return _said("policy gaps: denied requests that were served", sum(each.sent for each in mine), served, "")


def _said(what: str, tried: int, wrong: int | None, note: str) -> dict[str, Any]:
    return {"what": what, "of": tried, "wrong": wrong, "note": note}


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def during(steps: Sequence[tuple[float, str, float]], at: float) -> str:
    """The step that was under way, or the last before."""
    found = "before the first step"
    for began, name, took in steps:
        if began > at:
            break
        found = f"during {name}" if at <= began + took else f"after {name}"
    return found


async def run(scene: Scene, wanted: Wanted, tell: Callable[[str], None]) -> Report:
    """Begins and ends with sidecars."""
    await _set_up(scene)
    report = Report()
    clients = {each: await scene.pod(NAMESPACE, f"client-{each}") for each in CLIENTS}
    hosts = {name: await _address(scene, name) for name in _PORTS}
    streams = [(stream, client, keep) for stream in STREAMS for client in CLIENTS for keep in (True, False)]
    plans = [
        load.Plan(
            hosts[STREAMS[stream][0]],
            _PORTS[STREAMS[stream][0]],
            rate=wanted.rate / len(streams),
            connections=4,
            keep_alive=keep,
            path=STREAMS[stream][1],
            right=STREAMS[stream][2],
            phase=number / wanted.rate,
            inside=clients[client].netns,
            name=f"{client}-{stream}-{'kept' if keep else 'each'}",
        )
        for number, (stream, client, keep) in enumerate(streams)
    ]
    each = wanted.connections // len(CLIENTS)
    holding = [
        child.start(partial(held.hold, hosts["held"], _PORTS["held"], each), pod.netns, scene.holder)
        for pod in clients.values()
    ]
    for one in holding:
        one.wait_started()
    async with kept_logs.KeptLogs(scene.layout) as logs:
        loading = child.start(partial(_all, plans), None, scene.holder, precise=True)
        try:
            await _switching(scene, wanted, report, tell)
        finally:
            loop = asyncio.get_running_loop()
            results = await loop.run_in_executor(None, loading.finish)
            report.held = [await loop.run_in_executor(None, one.finish) for one in holding]
    for (stream, client, _), result in zip(streams, results, strict=True):
        report.streams.append(Judged(stream, client, result.sent, tuple(result.lost_at)))
    traced = await logs.traced(scene, (lost for each in report.streams for lost in each.lost))
    for line in kept_logs.told(traced, logs.began):
        tell(line)
    return report


async def _switching(scene: Scene, wanted: Wanted, report: Report, tell: Callable[[str], None]) -> None:
    """All cycles, each step timed."""
    began = time.perf_counter()
    await asyncio.sleep(1.0)
    for number in range(wanted.cycles):
        for name, step in STEPS:
            start = time.perf_counter()
            await step(scene)
            report.steps.append((start - began, name, time.perf_counter() - start))
        report.cycles += 1
        if wanted.cycles <= 10 or number % 10 == 9:
            tell(f"cycle {number + 1} of {wanted.cycles}")
    await asyncio.sleep(1.0)


async def _all(plans: Sequence[load.Plan], stop: asyncio.Event) -> list[load.Result]:
    return list(await asyncio.gather(*(load.run(plan, stop) for plan in plans)))


async def _to_waypoint_first(scene: Scene) -> None:
    """`guarded` has its new enforcement point before the old one goes; then the pods are made anew without sidecars."""
    await _label(scene, "guarded", _ATTACHED)
    await until(partial(_bound, scene, "guarded"), _PATIENCE, 0.05)
    await _members(scene, "ambient")


async def _attach(scene: Scene) -> None:
    for name in ("plain", "held"):
        await _label(scene, name, _ATTACHED)
    for name in ("plain", "held"):
        await until(partial(_bound, scene, name), _PATIENCE, 0.05)


async def _to_sidecars(scene: Scene) -> None:
    """The other way round: sidecars that judge are there before the waypoint has nothing to do any more."""
    for name in ("plain", "held"):
        await _label(scene, name, _DETACHED)
    await _members(scene, "sidecar")
    await _label(scene, "guarded", _DETACHED)


STEPS: Final[tuple[tuple[str, Callable[[Scene], Awaitable[None]]], ...]] = (
    ("sidecar to L4", _to_waypoint_first),
    ("L4 to waypoint", _attach),
    ("waypoint to sidecar", _to_sidecars),
)


async def _label(scene: Scene, service: str, labels: dict[str, str | None]) -> None:
    await scene.api.patch(kinds.SERVICE, service, {"metadata": {"labels": labels}}, NAMESPACE)


async def _members(scene: Scene, mode: Member) -> None:
    await rolling.template(scene, "echo", NAMESPACE, {"labels": _LABELS[mode]})
    await until(partial(rolling.rolled, scene, "echo", NAMESPACE), _PATIENCE, 0.05)
    await until(partial(rolling.in_mode, scene, "echo", NAMESPACE, mode), _PATIENCE, 0.05)


async def _bound(scene: Scene, service: str) -> str:
    found = await scene.api.get(kinds.SERVICE, service, NAMESPACE)
    conditions = (found.get("status") or {}).get("conditions") or ()
    bound = any(each["type"] == "istio.io/WaypointBound" and each["status"] == "True" for each in conditions)
    return "" if bound else f"Service {service} is not WaypointBound"


async def _address(scene: Scene, service: str) -> str:
    return str((await scene.api.get(kinds.SERVICE, service, NAMESPACE))["spec"]["clusterIP"])


async def _set_up(scene: Scene) -> None:
    await scene.put(world())
    await scene.wait_ready([NAMESPACE], _PATIENCE)
    await until(partial(rolling.rolled, scene, "echo", NAMESPACE), _PATIENCE, 0.05)
    for app, mode in (("echo", "sidecar"), ("held", "ambient"), *((f"client-{each}", each) for each in CLIENTS)):
        await until(partial(rolling.in_mode, scene, app, NAMESPACE, mode), _PATIENCE, 0.05)
    await until(partial(_programmed, scene), _PATIENCE, 0.05)
    for client in CLIENTS:
        await until(partial(_judges, scene, client), _PATIENCE, 0.1)


async def _programmed(scene: Scene) -> str:
    found = await scene.api.get(kinds.GATEWAY, _WAYPOINT, NAMESPACE)
    conditions = (found.get("status") or {}).get("conditions") or ()
    serves = any(each["type"] == "Programmed" and each["status"] == "True" for each in conditions)
    return "" if serves else "the waypoint is not Programmed"


async def _judges(scene: Scene, client: Member) -> str:
    """Every stream is judged right before anything is switched."""
    pod = await scene.pod(NAMESPACE, f"client-{client}")
    for stream, (service, path, right) in STREAMS.items():
        plan = load.Plan(
            await _address(scene, service), _PORTS[service], rate=20.0, seconds=0.2, connections=1, path=path
        )
        result = await scene.inside(pod, partial(load.run, plan))
        if set(result.statuses) != {right}:
            return f"{stream} from {client}: {dict(result.statuses)} {dict(result.lost)}, not {right}"
    return ""


def world() -> list[Document]:
    """Everything in the order of creation."""
    waypoint = {
        "gatewayClassName": "istio-waypoint",
        "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}],
    }
    deny = {
        "targetRefs": [{"group": "", "kind": "Service", "name": "guarded"}],
        "action": "DENY",
        "rules": [{"to": [{"operation": {"paths": [DENIED]}}]}],
    }
    echo = rolling.deployment("echo", NAMESPACE, replicas=2, ports=(_PORTS["plain"], _PORTS["guarded"]))
    labels = {key: value for key, value in _LABELS["sidecar"].items() if value}
    echo["spec"]["template"]["metadata"]["labels"] |= labels
    return [
        kept_logs.LOGGED,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        _object("v1", "ServiceAccount", "echo"),
        _object("gateway.networking.k8s.io/v1", "Gateway", _WAYPOINT, waypoint),
        *(_service(name, "held" if name == "held" else "echo") for name in _PORTS),
        echo,
        _pod("held", "ambient", {"name": "app", "image": "plait/echo"}),
        *(_pod(f"client-{each}", each, _SLEEP) for each in CLIENTS),
        _object("security.istio.io/v1", "AuthorizationPolicy", "denied", deny),
    ]


_SLEEP: Final = {"name": "app", "image": "busybox", "command": ["sleep", "infinity"]}


def _object(version: str, kind: str, name: str, spec: Document | None = None) -> Document:
    found = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}}
    return {**found, "spec": spec} if spec else found


def _service(name: str, app: str) -> Document:
    return _object("v1", "Service", name, {"selector": {"app": app}, "ports": [{"name": "http", "port": _PORTS[name]}]})


def _pod(name: str, mode: Member, container: Document) -> Document:
    found = _object("v1", "Pod", name, {"terminationGracePeriodSeconds": 0, "containers": [container]})
    found["metadata"]["labels"] = {"app": name, **{key: each for key, each in _LABELS[mode].items() if each}}
    return found
