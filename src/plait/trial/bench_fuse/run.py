"""`plait bench fuse`: the article's experiment, from running meshes to figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from plait.store.api import ApiError
from plait.trial.bench_fuse import blocks, day2
from plait.trial.bench_fuse.blocks import World
from plait.trial.bench_fuse.day2 import Done
from plait.trial.bench_fuse.figures import BASE, SIDECARS, Run
from plait.trial.bench_fuse.tasks import Way
from plait.trial.bench_fuse.worlds import State
from plait.trial.child import ChildError
from plait.trial.scene import Scene, SceneError

_OF_KNEE = 0.3
_CAPACITY = 2.0
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much of everything. `pods`: a whole run for each number of pods a node. `rate` 0: 30 % of what the mesh of
    sidecars carries in closed loop, so that its queues are no part of its latency."""

    pods: tuple[int, ...] = (10,)
    shares: tuple[float, ...] = (0.1, 0.3, 0.5, 1.0)
    blocks: int = 10
    seconds: float = 20.0
    rate: float = 0.0
    operations: bool = True


QUICK = Wanted(pods=(3,), shares=(0.1, 1.0), blocks=3, seconds=1.5)


async def measured(scenes: Mapping[str, Scene], states: Sequence[State], pods: int, wanted: Wanted, tell: Tell) -> Run:
    """All states with so many pods a node. One that does not pass its functional suite is not measured, and why is
    kept; without the two that all others are compared with there is nothing to say: SceneError."""
    ready: list[World] = []
    skipped: dict[str, str] = {}
    for state in states:
        try:
            ready.append(await blocks.ready(scenes[state.key], state, pods))
            tell(f"{state.key} is ready: {state.title}")
        except SceneError as error:
            if state.key in (BASE, SIDECARS):
                raise
            skipped[state.key] = str(error)
            tell(f"{state.key} is left out: {error}")
    capacity = {}
    for world in ready:
        capacity[world.state.key] = await blocks.capacity(world, min(_CAPACITY, wanted.seconds))
    rate = wanted.rate or _OF_KNEE * capacity[SIDECARS]
    tell(f"{rate:.0f} requests a second; {SIDECARS} carries {capacity[SIDECARS]:.0f}, {BASE} {capacity[BASE]:.0f}")
    found, memory = await blocks.rounds(ready, blocks=wanted.blocks, seconds=wanted.seconds, rate=rate, tell=tell)
    return Run(pods, rate, capacity, tuple(found), tuple(memory), skipped)


async def operations(scenes: Mapping[str, Scene], tell: Tell) -> list[Done]:
    """The same tasks with sidecars and with the node proxies, in the meshes that were measured.

    What cannot even begin is told: an hour of measured blocks must not be lost with it.
    """
    done: list[Done] = []
    ways: tuple[tuple[str, Way], ...] = ((SIDECARS, "sidecar"), ("M2", "ambient"))
    for state, way in ways:
        try:
            done += await day2.run(scenes[state], way, tell)
        except (SceneError, ApiError, ChildError) as error:
            tell(f"the day-2 tasks ({way}) ended: {error}")
    return done
