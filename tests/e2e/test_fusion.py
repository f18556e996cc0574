"""The same YAML and the same requests in every pair of modes: each cell holds what the planner says of it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(400),
    pytest.mark.skipif(os.geteuid() != 0, reason="sidecars are known by their user: needs root"),
]
MODES = ("none", "ambient", "ambient+waypoint", "sidecar")


@pytest.mark.reliability(number=10)
def test_all_sixteen_cells_hold() -> None:
    words = [sys.executable, "-m", "plait", "demo", "--fusion", "--name", f"fusion{os.getpid()}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for client in MODES:
        for server in MODES:
            assert f"ok    {client} -> {server}\n" in done.stdout
    assert "17 applied at the client sidecar and the server sidecar" in done.stdout
    assert "17 applied at the waypoint" in done.stdout
    assert "17 of 17 claims held" in done.stdout
