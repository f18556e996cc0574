"""What was measured is kept: a state that fails is left out, tasks that cannot begin are told."""

from __future__ import annotations

from typing import Any

import pytest

from plait.trial.bench_fuse import run
from plait.trial.bench_fuse.day2 import Done
from plait.trial.bench_fuse.run import QUICK
from plait.trial.bench_fuse.worlds import State, states
from plait.trial.scene import SceneError

STATES = states((0.1,))


async def test_tasks_of_one_way_that_cannot_begin_do_not_take_the_others_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = Done("t", "ambient", ("c",), 0, 0, 0, 1, 1.0)

    async def tasks(scene: Any, way: str, tell: Any) -> list[Done]:
        if way == "sidecar":
            raise SceneError("after 90 s: not ready")
        return [done]

    monkeypatch.setattr(run.day2, "run", tasks)
    told: list[str] = []
    scenes: Any = {"M1": None, "M2": None}
    assert await run.operations(scenes, told.append) == [done]
    assert told == ["the day-2 tasks (sidecar) ended: after 90 s: not ready"]


def measured(monkeypatch: pytest.MonkeyPatch, broken: str) -> Any:
    """`run.measured` where everything but the named state works at once."""

    async def ready(scene: Any, state: State, pods: int) -> Any:
        if state.key == broken:
            raise SceneError(f"{state.key}: not every pair is served")
        return type("World", (), {"state": state})()

    async def capacity(world: Any, seconds: float) -> float:
        return 1000.0

    async def rounds(ready: Any, *, rate: float, **_: Any) -> tuple[list[Any], list[Any]]:
        return [rate, *(world.state.key for world in ready)], []

    for name, each in (("ready", ready), ("capacity", capacity), ("rounds", rounds)):
        monkeypatch.setattr(run.blocks, name, each)
    return run.measured(dict.fromkeys([each.key for each in STATES]), STATES, 3, QUICK, lambda _: None)  # type: ignore[arg-type]


async def test_a_state_that_fails_its_suite_is_left_out_and_why_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await measured(monkeypatch, "M4")
    assert found.skipped == {"M4": "M4: not every pair is served"}
    assert found.blocks == (300.0, "M0", "M1", "M2", "M3(10%)"), "30 % of what M1 carries"


@pytest.mark.parametrize("base", ["M0", "M1"])
async def test_without_what_all_are_compared_with_there_is_no_run(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SceneError, match="not every pair"):
        await measured(monkeypatch, base)
