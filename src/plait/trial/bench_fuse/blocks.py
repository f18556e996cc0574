"""Runs the blocks: each state is checked first, then all take turns, every second round in the other order.

One generator process sends from all client pods: its sockets are made inside their network namespaces. It is the same
for every state, so what it costs is in every figure and cancels where states are compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from plait.base import wellknown
from plait.resources import kinds
from plait.trial import child, load
from plait.trial.bench_fuse import meter, worlds
from plait.trial.bench_fuse.meter import Member, Memory, Part
from plait.trial.bench_fuse.worlds import State
from plait.trial.scene import Pod, Scene, finished, until

Tell = Callable[[str], None]
IDLE = "idle"
_SETTLE = 0.3
_PRIORITY = -15
_KEPT, _LATE = 0.98, 0.010


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of load on all pairs together; `share` of the rate, as new connections cost more than requests."""

    name: str
    keep_alive: bool
    share: float
    connections: int


CASES = (
    Case("keep-alive", keep_alive=True, share=1.0, connections=4),
    Case("connection each", keep_alive=False, share=0.25, connections=4),
)


@dataclass(frozen=True, slots=True)
class Block:
    """One state under one load for a while. `cpu` in seconds by part; `seconds` as they passed."""

    state: str
    case: str
    number: int
    rate: float
    seconds: float
    requests: int
    unsent: int
    lost: int
    lag99: float
    latencies: tuple[float, ...]
    cpu: dict[Part, float]

    @property
    def kept(self) -> bool:
        """Did the generator keep the rate? Latencies of a block that it could not keep are those of a queue."""
        return self.unsent == 0 and len(self.latencies) >= _KEPT * self.rate * self.seconds and self.lag99 < _LATE


@dataclass(frozen=True, slots=True)
class World:
    """One state in its running mesh."""

    state: State
    scene: Scene
    members: tuple[Member, ...]
    plans: tuple[load.Plan, ...]


async def ready(scene: Scene, state: State, pods: int) -> World:
    """The world is there and is what it says: SceneError when it does not come to that."""
    await scene.put(worlds.documents(state, pods))
    patience = 60.0 + 10.0 * pods
    await scene.wait_ready([worlds.NAMESPACE], patience)
    await until(lambda: _joined(scene, state, pods), patience, 0.1)
    found = {pod.name: pod for pod in await scene.pods(worlds.NAMESPACE)}
    address = {}
    for _, service in worlds.pairs(pods):
        address[service] = str((await scene.api.get(kinds.SERVICE, service, worlds.NAMESPACE))["spec"]["clusterIP"])
    plans = tuple(_plan(found[client], address[service]) for client, service in worlds.pairs(pods))
    l7 = [address[service] for service in worlds.with_l7(state, pods)]
    await until(lambda: _judges(scene, state, plans, l7, found[worlds.OUTSIDER]), patience, 0.2)
    used = state.kind not in ("none", "sidecar")
    return World(state, scene, await meter.members(scene, worlds.NAMESPACE, with_node_proxies=used), plans)


def _plan(client: Pod, host: str) -> load.Plan:
    return load.Plan(host, worlds.PORT, inside=client.netns)


async def _joined(scene: Scene, state: State, pods: int) -> str:
    """Every pod is in the mesh in the way that the state says, as measured: by its node, and by the Envoy inside."""
    found = {pod.name: pod for pod in await scene.pods(worlds.NAMESPACE)}
    for each in worlds.workloads(pods):
        mode = worlds.member(state, each)
        pod = found.get(each.name)
        if pod is None:
            return f"{each.name} is not there"
        if (mode == "ambient") != (pod.annotations.get(wellknown.REDIRECTION) == "enabled"):
            return f"{each.name} is to be {mode}, and its node says otherwise"
        if (mode == "sidecar") != (wellknown.SIDECAR_STATUS in pod.annotations):
            return f"{each.name} is to be {mode}, and the injector says otherwise"
    return ""


async def _judges(scene: Scene, state: State, plans: Sequence[load.Plan], l7: Sequence[str], outsider: Pod) -> str:
    """The functional suite of a state: every pair is served, L7 policies refuse their path, an outsider is refused."""
    once = [replace(plan, rate=2.0, seconds=0.5, connections=1, keep_alive=False) for plan in plans]
    served = await send(scene, once)
    if set(served.statuses) != {200} or served.lost:
        return f"{state.key}: not every pair is served: {dict(served.statuses)} {dict(served.lost)}"
    denied = [replace(plan, path=worlds.DENIED) for plan in once if plan.host in l7]
    refused = await send(scene, denied)
    if denied and (set(refused.statuses) != {403} or refused.lost):
        return f"{state.key}: {worlds.DENIED} is not refused everywhere: {dict(refused.statuses)} {dict(refused.lost)}"
    foreign = await send(scene, [replace(once[0], inside=outsider.netns)])
    if (state.kind == "none") != (foreign.statuses[200] > 0):
        return f"{state.key}: an outsider got {dict(foreign.statuses)} {dict(foreign.lost)}"
    return ""


async def send(scene: Scene, plans: Iterable[load.Plan]) -> load.Result:
    """All plans side by side, from one process with timers of microseconds, which goes before all others: a measure
    that waits for its turn measures its own waiting."""
    work = partial(_first, tuple(plans))
    return await finished(child.start(work, None, scene.holder, precise=True))


async def _first(plans: tuple[load.Plan, ...], stop: asyncio.Event) -> load.Result:
    with contextlib.suppress(PermissionError):  # not without root; then the lag tells
        os.setpriority(os.PRIO_PROCESS, 0, _PRIORITY)
    return await load.together(plans, stop)


async def capacity(world: World, seconds: float) -> float:
    """Answers a second in closed loop, a connection for each pair: where a steady rate would begin to queue."""
    result = await send(world.scene, [replace(p, rate=0.0, seconds=seconds, connections=1) for p in world.plans])
    return len(result.latencies) / result.seconds


async def rounds(
    measured: Sequence[World], *, blocks: int, seconds: float, rate: float, tell: Tell
) -> tuple[list[Block], list[tuple[str, int, Memory]]]:
    """`blocks` rounds over all states and cases, with memory read at the end of each state's turn; an idle block
    of each state at the end."""
    found: list[Block] = []
    memory: list[tuple[str, int, Memory]] = []
    for world in measured:
        for case in CASES:
            await _block(world, case, -1, rate * case.share, min(1.0, seconds / 3))
    for number in range(blocks):
        for world in measured if number % 2 == 0 else measured[::-1]:
            for case in CASES:
                found.append(await _block(world, case, number, rate * case.share, seconds))
            memory += [(world.state.key, number, each) for each in meter.memory(world.members)]
        tell(f"block {number + 1} of {blocks}")
    for world in measured:
        found.append(await _idle(world, seconds))
    return found, memory


async def _block(world: World, case: Case, number: int, rate: float, seconds: float) -> Block:
    each = rate / len(world.plans)
    plans = [
        replace(plan, rate=each, seconds=seconds, connections=case.connections, keep_alive=case.keep_alive)
        for plan in world.plans
    ]
    await asyncio.sleep(_SETTLE)
    before = meter.cpu(world.members)
    result = await send(world.scene, plans)
    cpu = meter.since(before, meter.cpu(world.members))
    return Block(
        world.state.key,
        case.name,
        number,
        rate,
        result.seconds,
        result.sent,
        result.unsent,
        result.lost_total,
        result.lag(0.99),
        tuple(result.latencies),
        cpu,
    )


async def _idle(world: World, seconds: float) -> Block:
    before = meter.cpu(world.members)
    await asyncio.sleep(seconds)
    cpu = meter.since(before, meter.cpu(world.members))
    return Block(world.state.key, IDLE, 0, 0.0, seconds, 0, 0, 0, 0.0, (), cpu)
