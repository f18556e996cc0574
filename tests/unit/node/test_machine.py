"""Capture of one pod as a playbook: events on the left, what is instructed on the right."""

from __future__ import annotations

from plait.node import machine
from plait.node.machine import Attached, Capture, Done, Drifted, Elapsed, Event, Failed, Gone, Served, Wanted

OK, WAITED, FAILED = "ok", "waited", "failed"


def play(*events: Event | str, state: Capture = Capture()) -> tuple[Capture, list[str]]:
    said: list[str] = []
    for event in events:
        made = {OK: Done(state.turn), WAITED: Elapsed(state.turn), FAILED: Failed(state.turn, "why")}
        real = made[event] if isinstance(event, str) else event
        state, instructions = machine.step(state, real)
        said += [instruction.verb for instruction in instructions]
    return state, said


CAPTURED, _ = play(Attached(), Wanted(True), Served(True), OK, OK, OK)


def test_joining_goes_from_listeners_over_rules_and_a_probe_to_the_announcement() -> None:
    state, said = play(Attached(), Wanted(True), Served(True), OK, OK, OK)
    assert said == ["serve", "redirect", "probe", "announce"]
    assert state.captured and state.may_run


def test_leaving_tells_peers_first_and_keeps_listeners_to_the_last() -> None:
    state, said = play(Wanted(False), OK, WAITED, OK, WAITED, OK, state=CAPTURED)
    assert said == ["retract", "wait", "release", "wait", "clean", "withdraw"]
    assert state.phase == "out" and state.may_run


def test_pod_outside_the_mesh_runs_at_once() -> None:
    state, said = play(Attached(), Wanted(False))
    assert said == [] and state.may_run


def test_wanted_pod_may_not_run_before_it_is_captured() -> None:
    state, _ = play(Attached(), Wanted(True), Served(True), OK, OK)
    assert not state.may_run


def test_failed_probe_applies_the_rules_again_and_waits_longer_each_time() -> None:
    state, said = play(Attached(), Wanted(True), Served(True), OK, FAILED, WAITED, OK, FAILED)
    assert said == ["serve", "redirect", "probe", "wait", "redirect", "probe", "wait"]
    assert state.attempts == 2 and state.problem == "why"


def test_lost_proxy_leaves_rules_and_announcement_in_place() -> None:
    state, said = play(Served(False), state=CAPTURED)
    assert said == ["serve"] and state.rules and state.announced


def test_drifted_rules_come_back_and_are_probed() -> None:
    _, said = play(Drifted(), OK, OK, OK, state=CAPTURED)
    assert said == ["redirect", "probe", "announce"]


def test_mind_changed_while_leaving_joins_again() -> None:
    state, said = play(Wanted(False), OK, Wanted(True), Served(True), OK, OK, OK, state=CAPTURED)
    assert said == ["retract", "wait", "serve", "redirect", "probe", "announce"] and state.captured


def test_remains_of_a_former_agent_are_taken_out_of_a_pod_that_left() -> None:
    _, said = play(Attached(rules=True, announced=True), OK, WAITED, OK, WAITED, OK)
    assert said == ["retract", "wait", "release", "wait", "clean", "withdraw"]


def test_stale_results_change_nothing() -> None:
    assert machine.step(CAPTURED, Done(CAPTURED.turn - 1)) == (CAPTURED, ())


def test_gone_withdraws_and_touches_nothing_else() -> None:
    _, said = play(Gone(), state=CAPTURED)
    assert said == ["withdraw"]
