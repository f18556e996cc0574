"""A report says where targets are held and where not, and its raw data gives the same figures again."""

from __future__ import annotations

import csv
import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from plait.trial.bench_fuse import report, statistics
from plait.trial.bench_fuse.blocks import IDLE, Block
from plait.trial.bench_fuse.day2 import Done
from plait.trial.bench_fuse.figures import Run
from plait.trial.bench_fuse.meter import Memory, Part
from plait.trial.bench_fuse.worlds import State, states

STATES = states((0.1, 1.0))
COST = {"M0": 0.0, "M1": 1.0, "M2": 0.2, "M3(10%)": 0.3, "M3(100%)": 0.9, "M4": 0.6}


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of these runs are all alike, so a few draws say as much as many."""
    monkeypatch.setattr(statistics, "ROUNDS", 50)


def block(state: State, number: int, case: str) -> Block:
    cost = COST[state.key]
    cpu: dict[Part, float] = {"node proxy": cost, "sidecar": 0.0, "waypoint": 0.0, "agent": 0.1, "control": 0.1}
    latencies = tuple(0.001 + 0.002 * cost for _ in range(50)) if case != IDLE else ()
    return Block(state.key, case, number, 10.0, 5.0, len(latencies), 0, 0, 0.0, latencies, cpu)


def run(pods: int = 10, blocks: int = 3) -> Run:
    found = [block(state, n, "keep-alive") for n in range(blocks) for state in STATES]
    found += [block(state, 0, IDLE) for state in STATES]
    memory = tuple(
        (state.key, n, Memory("agent" if state.key == "M0" else "sidecar", node, 10, int(1e8 * COST[state.key]), 1, 1))
        for n in range(blocks)
        for state in STATES
        for node in ("node-1", "node-2")
    )
    return Run(pods, 10.0, {"M0": 1000.0, "M1": 100.0}, tuple(found), memory, {})


DONE = (
    Done("upgrade", "sidecar", ("kubectl rollout restart",), 4, 0, 2, 100, 7.0),
    Done("upgrade", "ambient", ("plait proxy restart --all",), 0, 2, 0, 100, 2.0),
    Done("policy", "sidecar", ("a",), 0, 0, 0, 100, 1.0),
    Done("policy", "ambient", ("a", "b", "c"), 0, 0, 0, 100, 1.0),
    Done("broken", "ambient", ("a",), 0, 0, 0, 100, 90.0, failed="after 90 s: it is not there"),
)


def page(*runs: Run) -> str:
    return report.markdown(STATES, runs, DONE, "a machine")


def test_targets_are_judged_where_they_were_set_and_shown_where_they_end() -> None:
    text = page(run())
    assert "| M2 | cpu | keep-alive | 80 (80 to 80) % | 60% | **reached** |" in text
    assert "| M3(10%) | memory |  | 70 (70 to 70) % | 60% | **reached** |" in text
    assert "| M3(100%) | cpu | keep-alive | 10 (10 to 10) % | 60% (no target here) | **not reached** |" in text
    assert "not so many here" not in text and "not so many here" in page(run(pods=3))
    assert "| M3(10%) | cpu | keep-alive | 70 (70 to 70) % | 60% (no target here) |" in page(run(pods=3))


def test_a_tenth_of_few_services_is_more_than_a_tenth() -> None:
    assert report.actual_share(STATES[3], 10) == pytest.approx(0.1)
    assert report.actual_share(STATES[3], 3) == pytest.approx(1 / 6)
    assert report.actual_share(STATES[2], 3) == 0.0


def test_few_blocks_and_a_generator_that_was_late_are_said() -> None:
    assert "**So few" in page(run(blocks=3)) and "**So few" not in page(run(blocks=8))
    assert "could not keep" not in page(run())
    late = run()
    late = replace(late, blocks=tuple(replace(each, lag99=1.0) for each in late.blocks))
    assert "could not keep" in page(late) and "0 of 3 blocks" in page(late)


def test_what_the_other_meshes_take_meanwhile_is_said() -> None:
    idle = sum(COST.values()) + 0.2 * len(COST)  # in blocks of five seconds
    assert f"together take {idle / 5 * 1e3:.0f} ms of CPU a second" in page(run())


def test_a_state_that_was_left_out_says_why() -> None:
    assert "**M4 was not measured**: it refused" in page(replace(run(), skipped={"M4": "it refused"}))


def test_operations_are_counted_and_a_task_that_failed_is_no_success() -> None:
    text = page(run())
    assert "| upgrade | sidecar | 1 | 4 | 0 | 2 of 100 | 7.0 |" in text
    assert "**after 90 s: it is not there**" in text
    assert "saves 33% in all, -60% as the mean over tasks" in text  # 6 against 4; 1 - 1/5 and 1 - 3/1


def test_raw_data_gives_the_figures_again(tmp_path: Path) -> None:
    assert report.write(tmp_path, STATES, [run()], DONE, "a machine") == tmp_path / "report.md"
    with (tmp_path / "blocks.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["case"] != IDLE]
    cpu = {state: [r for r in rows if r["state"] == state] for state in ("M1", "M2")}
    a_request = {
        state: sum(float(r["cpu_s_node_proxy"]) for r in found) / sum(int(r["requests"]) for r in found)
        for state, found in cpu.items()
    }
    assert 1 - a_request["M2"] / a_request["M1"] == pytest.approx(0.8)
    with gzip.open(tmp_path / "latencies.csv.gz", "rt") as file:
        assert sum(1 for _ in csv.DictReader(file)) == 3 * 6 * 50
    assert (tmp_path / "operations.csv").read_text().count("\n") == 1 + len(DONE)


def test_every_chart_that_the_page_shows_was_written(tmp_path: Path) -> None:
    text = report.write(tmp_path, STATES, [run()], DONE, "a machine").read_text()
    shown = {part.split(")")[0] for part in text.split("](")[1:]}
    assert shown and shown == {each.name for each in tmp_path.glob("*.svg")}
