"""Through all modes under load: every answer is the right one, and no connection to a pod that stays breaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(240),
    pytest.mark.skipif(os.geteuid() != 0, reason="sidecars are known by their user: needs root"),
]


@pytest.mark.reliability(number=9)
def test_switching_modes_loses_nothing_leaves_no_policy_gap_and_keeps_connections() -> None:
    words = [sys.executable, "-m", "plait", "bench", "switch", "--cycles", "1", "--rate", "100", "-o", "json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=230, check=False)
    rows = {row["what"]: row for row in json.loads(done.stdout)}
    gaps = rows["policy gaps: denied requests that were served"]
    assert gaps["of"] > 200 and gaps["wrong"] == 0, done.stdout
    assert rows["long connections"]["of"] == 50 and rows["long connections"]["wrong"] == 0, done.stdout
    assert {name.removeprefix("switch: ") for name in rows if name.startswith("switch: ")} == {
        "sidecar to L4",
        "L4 to waypoint",
        "waypoint to sidecar",
    }
    wrong = {name: row["wrong"] for name, row in rows.items() if name.startswith("requests")}
    assert len(wrong) == 3 and not any(wrong.values()), done.stdout
    assert done.returncode == 0
