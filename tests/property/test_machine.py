"""Capture of one pod under any order of events: nothing unsafe is ever instructed, and leaving always ends clean."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.node import machine
from plait.node.machine import (
    Attached,
    Capture,
    Done,
    Drifted,
    Elapsed,
    Event,
    Failed,
    Gone,
    Instruction,
    Served,
    Wanted,
)

TURN = st.integers(0, 30)
EVENT = st.one_of(
    st.builds(Attached, st.booleans(), st.booleans()),
    st.builds(Wanted, st.booleans()),
    st.builds(Served, st.booleans()),
    st.builds(Done, TURN),
    st.builds(Failed, TURN, st.just("why")),
    st.builds(Elapsed, TURN),
    st.just(Drifted()),
    st.just("now"),  # the present turn succeeds: else most results would be stale
    st.just("wait"),
    st.just("fail"),
)


def real(state: Capture, event: Event | str) -> Event:
    match event:
        case "now":
            return Served(True) if state.phase == "serving" else Done(state.turn)
        case "wait":
            return Elapsed(state.turn)
        case "fail":
            return Failed(state.turn, "why")
        case _:
            assert not isinstance(event, str)
            return event


@given(st.lists(EVENT, max_size=80))
def test_rules_need_listeners_and_announcing_needs_a_verified_probe(events: list[Event | str]) -> None:
    state = Capture()
    for raw in events:
        event, before = real(state, raw), state
        state, instructions = machine.step(state, event)
        for instruction in instructions:
            if instruction.verb == "redirect":
                assert state.served and state.attached and state.wanted
            if instruction.verb == "announce" and before.phase != "announcing":
                assert before.phase == "probing" and event == Done(before.turn)
            if instruction.verb == "withdraw":
                assert state.phase in ("out", "gone") and not state.rules and not state.announced
            if instruction.verb in ("release", "clean"):
                assert not state.announced or before.phase == state.phase, "peers were told first"
            assert instruction.turn == state.turn


@given(st.lists(EVENT, max_size=60), st.integers(0, 5))
def test_leaving_always_ends_clean(events: list[Event | str], failures: int) -> None:
    state = Capture()
    for raw in events:
        state, _ = machine.step(state, real(state, raw))
    state, _ = machine.step(state, Wanted(False))
    for _ in range(100):
        if state.phase == "out":
            break
        failing = failures > 0 and state.phase in ("retracting", "releasing", "cleaning")
        failures -= failing
        waiting = state.attempts > 0 or state.phase in ("grace", "draining")
        event = Failed(state.turn, "why") if failing else Elapsed(state.turn) if waiting else Done(state.turn)
        if waiting and state.phase not in ("grace", "draining"):
            state, _ = machine.step(state, event)  # the retry's own instruction
            event = Done(state.turn)
        state, _ = machine.step(state, event)
    assert state.phase == "out"
    assert not state.rules and not state.announced and state.may_run


@given(st.lists(EVENT, max_size=40))
def test_wanted_pod_is_captured_once_everything_works(events: list[Event | str]) -> None:
    state = Capture()
    for raw in events:
        state, _ = machine.step(state, real(state, raw))
    state, _ = machine.step(state, Attached())
    state, _ = machine.step(state, Wanted(True))
    for _ in range(20):
        if state.phase == "in":
            break
        state, _ = machine.step(state, real(state, "now"))
    assert state.captured and state.announced and state.rules and state.problem == ""


@given(st.lists(EVENT, max_size=40), st.lists(EVENT, max_size=10))
def test_gone_is_the_end(events: list[Event | str], later: list[Event | str]) -> None:
    state = Capture()
    for raw in events:
        state, _ = machine.step(state, real(state, raw))
    state, work = machine.step(state, Gone())
    assert work == (Instruction("withdraw", state.turn),)
    for raw in later:
        assert machine.step(state, real(state, raw)) == (state, ())
