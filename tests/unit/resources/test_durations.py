from __future__ import annotations

import pytest

from plait.resources import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h1m1.5s", 3661.5), ("-250ms", -0.25), ("0", 0.0), ("1", None), ("s", None), ("9999999h", None)],
)
def test_a_go_duration_in_seconds_or_none(text: str, seconds: float | None) -> None:
    assert durations.seconds(text) == seconds
