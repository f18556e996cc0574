"""An ordinary user runs a whole mesh: up, apply, enrol, a request through mutual TLS, status, kill -9, down."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import plait
from kit.mesh import ONCE, PAIR, until

NOBODY = 65534
SYSTEM_PYTHON = Path("/usr/bin/python3")
_SAME = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user: needs root"),
    pytest.mark.skipif(
        not SYSTEM_PYTHON.exists() or subprocess.run([SYSTEM_PYTHON, "-c", _SAME]).returncode != 0,
        reason="needs a system Python of our own version that every user can read",
    ),
]


class User:
    """Somebody without any privilege, with an own home."""

    def __init__(self, home: Path, mesh: str) -> None:
        self.home, self.mesh = home, mesh
        packages = next(path for path in sys.path if path.endswith("site-packages"))
        source = Path(plait.__file__).parent.parent
        self.environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": f"{source}:{packages}"}

    def plait(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SYSTEM_PYTHON, "-Bc", "from plait.cli.main import run; run()", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=90,
            env=self.environment,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            cwd="/",
        )

    def processes(self) -> list[str]:
        found = subprocess.run(["pgrep", "-u", str(NOBODY), "-f", self.mesh], capture_output=True, text=True)
        return found.stdout.split()


@pytest.fixture
def user() -> Iterator[User]:
    home = Path(tempfile.mkdtemp(prefix="pl-", dir="/tmp"))
    os.chown(home, NOBODY, NOBODY)
    someone = User(home, f"own{os.getpid()}")
    try:
        yield someone
    finally:
        someone.plait("down", "--name", someone.mesh)
        shutil.rmtree(home, ignore_errors=True)


def test_an_ordinary_user_runs_a_mesh_and_leaves_nothing(user: User) -> None:
    name = ("--name", user.mesh)
    up = user.plait("up", "--detach", *name)
    if "cannot make a user namespace" in up.stderr:
        pytest.skip(up.stderr.strip())
    assert up.returncode == 0, up.stdout + up.stderr
    enrolled = PAIR.replace("{name: duo}", "{name: duo, labels: {istio.io/dataplane-mode: ambient}}")
    applied = user.plait("apply", "-f", "-", *name, stdin=enrolled)
    assert applied.returncode == 0, applied.stderr

    def healthy() -> bool:
        status = user.plait("status", *name)
        return status.returncode == 0 and status.stdout.count("spiffe://cluster.local/ns/duo/sa/default") == 2

    until(healthy, "both pods captured with a certificate", 40.0)
    asked = ("/usr/bin/python3", "-c", ONCE, "echo.duo", "9000")
    until(lambda: user.plait("exec", "-n", "duo", *name, "client", "--", *asked).returncode == 0, "a request", 20.0)
    log = (user.home / ".local/state/plait" / user.mesh / "nodes/node-2/access.log").read_text
    until(lambda: "spiffe://cluster.local/ns/duo/sa/default" in log(), "the request in the server's access log")

    traced = user.plait("trace-path", "duo/client", "duo/echo", *name)
    assert traced.returncode == 1 and "not started by root" in traced.stderr

    mesh = user.home / ".local/state/plait" / user.mesh
    assert user.processes()
    os.kill(msgspec.json.decode((mesh / "mesh.json").read_bytes())["supervisor"]["pid"], signal.SIGKILL)
    down = user.plait("down", *name)
    assert down.returncode == 0, down.stderr
    assert not mesh.exists() and user.processes() == []
