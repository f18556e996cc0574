"""From blocks to figures: savings are of blocks of one round, parts that a state has not cost nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from plait.trial.bench_fuse.blocks import IDLE, Block
from plait.trial.bench_fuse.figures import Run, break_even, figures, idle_cpu, proxy_memory, savings
from plait.trial.bench_fuse.meter import Memory, Part

CPU: dict[str, dict[Part, float]] = {
    "M0": {},
    "M1": {"sidecar": 1.0},
    "M2": {"node proxy": 0.2},
}
ADDED = {"M0": 0.0, "M1": 0.004, "M2": 0.001}


def block(state: str, number: int, *, case: str = "keep-alive", weather: float = 0.0, lag: float = 0.0) -> Block:
    cpu: dict[Part, float] = dict.fromkeys(("node proxy", "sidecar", "waypoint", "agent", "control"), 0.0)
    latencies = tuple(0.001 + weather + ADDED[state] for _ in range(100)) if case != IDLE else ()
    requests = len(latencies)
    return Block(state, case, number, 10.0, 10.0, requests, 0, 0, lag, latencies, {**cpu, **CPU[state]})


def read(part: Part, node: str, private: int, shared: int = 50, processes: int = 1) -> Memory:
    return Memory(part, node, processes, private, shared, private + shared)


def run() -> Run:
    """Two rounds; the second one was slow in every state."""
    blocks = [block(state, n, weather=0.01 * n) for n in (0, 1) for state in CPU]
    memory = []
    for number in (0, 1):
        for node in ("node-1", "node-2"):
            memory.append(("M1", number, read("sidecar", node, 1000, processes=10)))
            memory.append(("M2", number, read("node proxy", node, 300)))
        memory.append(("M2", number, read("waypoint", "node-2", 100)))
        memory.append(("M2", number, read("agent", "node-2", 5000)))
    idle = [block(state, 0, case=IDLE) for state in CPU]
    return Run(10, 10.0, {}, (*blocks, *idle), tuple(memory), {})


def test_the_states_and_loads_are_those_that_were_measured() -> None:
    assert run().states == ("M0", "M1", "M2") and run().cases == ("keep-alive",)


def test_added_latency_is_above_no_mesh_of_the_same_round() -> None:
    (found,) = [each for each in figures(run()) if each.state == "M1"]
    assert found.added[0.5].value == pytest.approx(0.004)
    assert found.added[0.5].low == pytest.approx(found.added[0.5].high), "weather of a round is no spread of added"
    assert found.latency[0.5].low < found.latency[0.5].high
    assert found.proxies.value == pytest.approx(0.01) and found.requests == 200


def test_savings_are_against_all_sidecars() -> None:
    found = {each.what: each for each in savings(run())}
    assert {each.state for each in found.values()} == {"M2"}
    assert found["cpu"].found.value == pytest.approx(0.8) and found["cpu"].verdict == "reached"
    assert found["p50"].found.low == pytest.approx(0.75) and found["p90"].verdict == "reached"
    assert found["p99"].verdict is None, "no target was set for it"


def test_memory_is_what_each_has_for_itself_and_one_copy_a_node_of_what_is_shared() -> None:
    assert proxy_memory(run(), "M1") == [2 * (1000 + 50)] * 2
    assert proxy_memory(run(), "M2") == [2 * (300 + 50) + 100] * 2, "no agents in it"
    (memory,) = [each for each in savings(run()) if each.what == "memory"]
    assert memory.found.value == pytest.approx(1 - 800 / 2100)


def test_sidecars_need_less_below_as_many_pods_as_the_proxies_of_a_node_are_worth() -> None:
    assert break_even(run(), "M2") == pytest.approx((300 + 50) / 100)  # half a waypoint a node, a sidecar has 100


def test_a_mesh_that_costs_no_more_than_none_leaves_nothing_to_save() -> None:
    rounds = [replace(block("M0", n), state=state) for n in (0, 1) for state in ("M0", "M1")]
    found = Run(10, 10.0, {}, (*rounds, *(block("M2", n) for n in (0, 1))), run().memory, {})
    cpu = next(each for each in savings(found) if each.what == "cpu")
    assert cpu.found.low == -math.inf and cpu.verdict == "not reached"


def test_idle_cost_is_a_second() -> None:
    assert idle_cpu(run(), "M1")["sidecar"] == pytest.approx(0.1)


def test_a_block_whose_generator_was_late_is_not_kept() -> None:
    assert block("M0", 0).kept
    assert not block("M0", 0, lag=0.05).kept
    assert not replace(block("M0", 0), rate=20.0).kept, "half of the requests are missing"
    assert not replace(block("M0", 0), unsent=1).kept
