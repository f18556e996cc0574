"""Two reports of every proxy -> load; load and what was found before -> a number of proxies."""

from __future__ import annotations

from plait.deploy.operation import Operation
from plait.deploy.scaling import Load, Memory, Report, decide, load, needed

BUSY = Operation(most=8, rps=100.0, steady=10.0)


def test_load_is_what_happened_between_two_reports() -> None:
    before = {"a": Report(0.0, 100, 0, 1.0), "b": Report(0.0, 50, 0, 2.0)}
    after = {"a": Report(2.0, 300, 1, 1.5), "b": Report(2.0, 150, 0, 2.1)}
    found = load(before, after)
    assert (found.rps, round(found.cpu, 3), found.used) == (150.0, 0.3, True)


def test_a_proxy_that_is_new_or_was_started_again_adds_no_rate() -> None:
    after = {"new": Report(5.0, 1000, 0, 9.0), "again": Report(5.0, 3, 0, 0.1)}
    found = load({"again": Report(4.0, 500, 0, 7.0)}, after)
    assert (found.rps, found.cpu, found.used) == (0.0, 0.0, True)


def test_nothing_under_way_and_nothing_asked_is_no_use() -> None:
    same = Report(0.0, 100)
    assert not load({"a": same}, {"a": Report(1.0, 100)}).used
    assert load({"a": same}, {"a": Report(1.0, 100, under_way=1)}).used


def test_the_slowest_of_a_hundred_is_that_of_all_proxies_together() -> None:
    before = {"a": Report(0.0, slower=((5.0, 10), (50.0, 10))), "b": Report(0.0)}
    after = {
        "a": Report(1.0, slower=((5.0, 90), (50.0, 90))),
        "b": Report(1.0, slower=((5.0, 15), (50.0, 20))),
    }
    assert load(before, after).p99 == 0.05
    assert load({"b": Report(0.0)}, {"b": Report(1.0, slower=((5.0, 3), (50.0, 4)))}).p99 is None, "too few to say"


def test_the_target_that_needs_most_counts() -> None:
    both = Operation(rps=100.0, cpu=0.5, p99=0.05)
    assert needed(both, 3, Load(rps=150.0, cpu=1.7)) == 4
    assert needed(both, 3, Load(rps=590.0, cpu=0.1)) == 6
    assert needed(both, 3, Load(rps=10.0, cpu=0.1, p99=0.1)) == 6
    assert needed(both, 3, Load(rps=10.0, cpu=0.1)) == 1


def test_a_proxy_near_its_target_moves_nothing() -> None:
    assert needed(BUSY, 2, Load(rps=219.0)) == 2
    assert needed(BUSY, 2, Load(rps=221.0)) == 3
    assert needed(BUSY, 2, Load(rps=181.0)) == 2


def run(operation: Operation, loads: list[Load], replicas: int = 1) -> list[int]:
    """One load a second."""
    memory, found = Memory(), []
    for second, seen in enumerate(loads):
        replicas, memory = decide(operation, replicas, seen, memory, float(second))
        found.append(replicas)
    return found


def test_more_come_at_once_fewer_after_a_steady_while() -> None:
    found = run(BUSY, [Load(rps=350.0, used=True)] * 3 + [Load(rps=90.0, used=True)] * 15)
    assert found[:3] == [2, 4, 4]
    assert found[3:12] == [4] * 9
    assert found[-1] == 1


def test_load_that_swings_within_the_while_moves_nothing() -> None:
    swings = [Load(rps=350.0, used=True)] * 3 + [Load(rps=50.0, used=True), Load(rps=350.0, used=True)] * 20
    assert set(run(BUSY, swings)[2:]) == {4}


def test_bounds_hold() -> None:
    assert run(BUSY, [Load(rps=1e6)] * 5) == [2, 4, 8, 8, 8]
    assert run(Operation(least=3, rps=1.0), [Load()]) == [3]


def test_it_sleeps_after_a_time_without_use_and_only_a_caller_wakes_it() -> None:
    idle = Operation(idle=3.0)
    used, unused = Load(used=True), Load()
    assert run(idle, [used, unused, unused, unused, unused, used]) == [1, 1, 1, 0, 0, 0]
    assert run(idle, [unused, unused, used, unused, unused, unused]) == [1, 1, 1, 1, 1, 0]
    assert run(Operation(rps=1.0), [unused] * 100)[-1] == 1
