"""How the first acts of pods on an address that changed hands are judged."""

from __future__ import annotations

import pytest

from plait.trial.bench_reuse import Found


@pytest.mark.parametrize(
    ("account", "code", "accepted", "refused"),
    [
        ("trusted", 64 + 1, 0, 0),
        ("stranger", 64 + 2, 0, 0),
        ("stranger", 64 + 1, 1, 1),  # taken for the pod before it
        ("trusted", 64 + 2, 1, 1),
        ("trusted", 64 + 3, 1, 0),
        ("stranger", 64 + 0, 0, 1),
    ],
)
def test_an_own_port_that_is_closed_and_anothers_that_is_open_are_counted(
    account: str, code: int, accepted: int, refused: int
) -> None:
    found = Found()
    found.judge(account, code)
    assert (found.judged, found.accepted, found.refused, found.failed) == (1, accepted, refused, [])


@pytest.mark.parametrize("code", [0, 1, 63, 68, 137])
def test_a_pod_that_ended_otherwise_is_not_judged_but_told(code: int) -> None:
    found = Found()
    found.judge("trusted", code)
    assert (found.judged, found.failed) == (0, [f"exit code {code}"])
