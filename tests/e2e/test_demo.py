"""What README promises of `plait demo`, by running it: every claim holds, and nothing of it stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]
CLAIMS = (
    "before: plaintext crosses between the nodes",
    "no application process restarted",
    "no request lost during enrolment",
    "after: no plaintext crosses, mutual TLS does",
    "the application sees the client's real address",
    "a server that speaks first is not delayed",
    "a denied service account is refused, the allowed one served",
    "plaintext from outside: PERMISSIVE lets it in, STRICT refuses it",
    "metrics at the source",
    "metrics at the destination",
    "the verified peer is the client's service account",
)


def plait(*arguments: str, home: Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "plait", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env={**os.environ, "PLAIT_HOME": str(home)}
    )


def test_every_claim_of_the_demo_holds_and_nothing_stays_behind(tmp_path: Path) -> None:
    name = f"e2edemo{os.getpid()}"
    try:
        done = plait("demo", "--name", name, home=tmp_path)
    finally:
        plait("down", "--name", name, home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for claim in CLAIMS:
        assert f"ok    {claim}" in done.stdout, done.stdout
    assert not list(Path("/run/netns").glob(f"plait-{name}-*"))
    assert not (tmp_path / name).exists()
