"""The experiment of the article runs as a whole, small: every state passes its functional suite and is measured."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(400),
    pytest.mark.skipif(os.geteuid() != 0, reason="sidecars are known by their user: needs root"),
]
_SMALL = ("--pods", "1", "--fractions", "1.0", "--blocks", "2", "--seconds", "0.5", "--rate", "40", "--no-operations")


def test_every_state_is_measured_and_only_its_own_proxies_worked(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "plait", "bench", "fuse", "--quick", *_SMALL, "--out", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with (tmp_path / "blocks.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if int(row["requests"])]
    assert {row["state"] for row in rows} == {"M0", "M1", "M2", "M3(100%)", "M4"}
    assert all(row["lost"] == "0" for row in rows), rows
    worked = {
        state: {
            part
            for part in ("node_proxy", "sidecar", "waypoint")
            if any(float(row[f"cpu_s_{part}"]) > 0.001 for row in rows if row["state"] == state)
        }
        for state in {row["state"] for row in rows}
    }
    assert worked == {
        "M0": set(),
        "M1": {"sidecar"},
        "M2": {"node_proxy"},
        "M3(100%)": {"node_proxy", "waypoint"},
        "M4": {"node_proxy", "sidecar"},
    }
    assert (tmp_path / "report.md").read_text().startswith("# What a mesh costs")
