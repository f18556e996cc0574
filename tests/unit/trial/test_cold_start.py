"""Moments of a waypoint's start become stretches, whatever was seen of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plait.trial import cold_start


def test_stretches_add_up_to_the_whole() -> None:
    moments = {"written": 10.0, "deployment": 10.1, "pod": 10.15, "ready": 10.4, "answered": 10.5}
    found = cold_start.stretches(moments)
    assert sum(found.values()) == pytest.approx(0.5)
    assert found["pod"] == pytest.approx(0.05)
    assert "bound" not in found


def test_a_moment_that_was_seen_late_takes_no_time_from_the_next() -> None:
    found = cold_start.stretches({"written": 0.0, "deployment": 0.3, "replicaset": 0.2, "pod": 0.4})
    assert found["replicaset"] == 0.0
    assert found["pod"] == pytest.approx(0.1)


def test_the_summary_has_the_median_of_all_rounds_that_saw_it() -> None:
    rounds = [{"written": 0.0, "deployment": each} for each in (0.1, 0.3, 0.2)]
    (row,) = cold_start.summary(rounds)
    assert row["ms"] == "200 (100–300)"
    assert "Deployment" in row["stretch"]


def test_the_times_of_the_proxys_files_are_on_the_clock_of_the_rest(tmp_path: Path) -> None:
    (tmp_path / "bootstrap.json").touch()
    (tmp_path / "admin.sock").touch()
    file = tmp_path / "admin.sock"
    os.utime(file, (file.stat().st_mtime + 2,) * 2)
    found = cold_start.of_files(tmp_path)
    assert set(found) == {"folder", "begun"}
    assert found["begun"] - found["folder"] == pytest.approx(2, abs=0.1)
