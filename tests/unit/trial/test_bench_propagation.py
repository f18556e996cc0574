from __future__ import annotations

from plait.trial.bench_propagation import applied


def test_a_change_is_applied_when_it_or_a_later_one_is_seen() -> None:
    sent = [0.0, 1.0, 2.0]
    assert applied(["a", "b", "c"], sent, {"a": 0.5, "b": 1.25, "c": 2.5}) == [0.5, 0.25, 0.5]
    assert applied(["a", "b", "c"], sent, {"a": 0.5, "c": 2.5}) == [0.5, 1.5, 0.5], "overtaken, not lost"
