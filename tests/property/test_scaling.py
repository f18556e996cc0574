"""Whatever the load does: bounds hold, nothing flaps, and what is enough is reached."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from plait.deploy.operation import Operation
from plait.deploy.scaling import Load, Memory, decide

OPERATIONS = st.builds(
    Operation,
    least=st.integers(1, 3),
    most=st.integers(3, 12),
    steady=st.sampled_from([2.0, 5.0, 30.0]),
    cpu=st.none() | st.floats(0.1, 2.0),
    rps=st.none() | st.floats(10.0, 500.0),
    p99=st.none() | st.floats(0.01, 1.0),
)
LOADS = st.builds(
    Load, rps=st.floats(0, 5000), cpu=st.floats(0, 10), p99=st.none() | st.floats(0, 2.0), used=st.booleans()
)


def run(operation: Operation, loads: list[Load], replicas: int) -> list[int]:
    memory, found = Memory(), []
    for second, seen in enumerate(loads):
        replicas, memory = decide(operation, replicas, seen, memory, float(second))
        found.append(replicas)
    return found


@given(OPERATIONS, st.lists(LOADS, max_size=120), st.integers(1, 12))
def test_bounds_hold(operation: Operation, loads: list[Load], replicas: int) -> None:
    assert all(operation.least <= each <= operation.most for each in run(operation, loads, replicas))


@given(OPERATIONS, st.lists(LOADS, min_size=2, max_size=120), st.integers(1, 3))
def test_between_a_step_up_and_a_step_down_the_steady_time_passes(
    operation: Operation, loads: list[Load], replicas: int
) -> None:
    found = run(operation, loads, replicas)
    grew = None
    for second, (before, after) in enumerate(itertools.pairwise(found), start=1):
        if after > before:
            grew = second
        if after < before and grew is not None:
            assert second - grew >= operation.steady


@given(OPERATIONS, LOADS, st.integers(1, 3))
def test_a_load_of_the_whole_mesh_that_stays_settles_the_number(
    operation: Operation, seen: Load, replicas: int
) -> None:
    """p99 says nothing of how many would do, so it is left out here."""
    fixed = Operation(
        least=operation.least, most=operation.most, steady=operation.steady, cpu=operation.cpu, rps=operation.rps
    )
    found = run(fixed, [Load(rps=seen.rps, cpu=seen.cpu, used=True)] * 120, replicas)
    assert len(set(found[80:])) == 1
    for total, target in ((seen.rps, fixed.rps), (seen.cpu, fixed.cpu)):
        if target is not None and found[-1] < fixed.most:
            assert total / found[-1] <= target * 1.1 + 1e-6


@given(st.floats(1.0, 20.0), st.lists(st.booleans(), max_size=60))
def test_nothing_that_is_used_sleeps(idle: float, used: list[bool]) -> None:
    found = run(Operation(idle=idle), [Load(used=each) for each in used], 1)
    for second, replicas in enumerate(found):
        if replicas == 0 and (second == 0 or found[second - 1]):
            assert not any(used[max(0, second - int(idle) + 1) : second + 1])
