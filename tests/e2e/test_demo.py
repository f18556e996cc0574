"""What README promises of `plait demo`, by running it: every claim holds, and nothing of it stays behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
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


def test_every_claim_of_the_demo_holds_and_nothing_stays_behind() -> None:
    name = f"e2edemo{os.getpid()}"
    home = Path(tempfile.mkdtemp(prefix="pl-", dir="/tmp"))  # sockets lie below: `tmp_path` is too long for them
    try:
        done = plait("demo", "--name", name, home=home)
        left = [str(path) for path in home.rglob("*")]
    finally:
        plait("down", "--name", name, home=home)
        shutil.rmtree(home, ignore_errors=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for claim in CLAIMS:
        assert f"ok    {claim}" in done.stdout, done.stdout
    assert not list(Path("/run/netns").glob(f"plait-{name}-*"))
    assert not left


def test_a_demo_that_is_told_to_end_leaves_nothing() -> None:
    name = f"e2eterm{os.getpid()}"
    home = Path(tempfile.mkdtemp(prefix="pl-", dir="/tmp"))
    command = [sys.executable, "-m", "plait", "demo", "--name", name]
    try:
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PLAIT_HOME": str(home)},
        ) as running:
            assert running.stdout is not None
            for line in running.stdout:
                if line.startswith("ok"):  # the first claim: the mesh is up and in use
                    running.terminate()
                    break
            rest = running.stdout.read()
        left = [str(path) for path in home.rglob("*")]
    finally:
        plait("down", "--name", name, home=home)
        shutil.rmtree(home, ignore_errors=True)
    assert running.returncode == 130 and "is gone" in rest
    assert not list(Path("/run/netns").glob(f"plait-{name}-*"))
    assert not left
