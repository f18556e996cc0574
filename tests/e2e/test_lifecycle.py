"""`plait up` and `plait down` as users meet them: twice, after kill -9, with something missing, with nothing left."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.mesh import PAIR, PLAIT, Mesh, mesh, traces, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.skipif(os.geteuid() != 0, reason="looks at the host's own rules: needs root"),
]


@pytest.fixture(scope="module")
def mine() -> Iterator[Mesh]:
    with mesh(f"life{os.getpid()}-l") as running:
        yield running


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.reliability(number=2)
def test_a_mesh_killed_with_all_its_processes_goes_on_with_its_state(mine: Mesh) -> None:
    mine.up("--nodes", "2")
    mine.apply(PAIR)
    mine.ready("duo", "client", "echo")
    before = mine.get(kinds.POD, "echo", "duo")["metadata"]["uid"]
    root = (mine.layout.mesh_ca / "root-cert.pem").read_bytes()

    second = mine.plait("up", "--detach")
    assert second.returncode == 1 and "already up" in second.stderr and "plait down" in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1 and second.stdout == ""

    os.kill(mine.record.supervisor.pid, signal.SIGKILL)
    dead = mine.plait("status")
    assert dead.returncode == 1 and "plait up" in dead.stderr
    for pid in mine.members():
        os.kill(pid, signal.SIGKILL)
    mine.up("--nodes", "2")
    mine.ready("duo", "client", "echo")
    assert mine.get(kinds.POD, "echo", "duo")["metadata"]["uid"] == before
    assert (mine.layout.mesh_ca / "root-cert.pem").read_bytes() == root
    until(lambda: mine.plait("status").returncode == 0, "healthy")


def test_sigterm_to_the_supervisor_ends_every_process(mine: Mesh) -> None:
    if not mine.layout.record.exists():
        mine.up()
    everyone = mine.members()
    supervisor = mine.record.supervisor.pid
    os.kill(supervisor, signal.SIGTERM)
    took = until(lambda: gone([supervisor, *everyone]), "every process ended", 6.0)
    assert everyone and took < 6.0
    assert mine.members() == []


def test_down_after_kill_9_leaves_nothing(mine: Mesh) -> None:
    name = f"{mine.name}x"
    home = mine.home.with_name(mine.home.name + "x")
    before = traces(name, home)
    other = Mesh(name, home)
    try:
        other.up("--nodes", "1")
        index = other.record.index
        assert all(traces(name, home, index)[what] for what in ("namespaces", "links", "routes", "processes", "files"))
        os.kill(other.record.supervisor.pid, signal.SIGKILL)
    finally:
        done = other.plait("down")
    assert done.returncode == 0, done.stderr
    assert traces(name, home, index) == before
    assert other.plait("down").returncode == 0  # again: nothing to do is no error


def test_ctrl_c_while_it_starts_takes_back_what_was_started(mine: Mesh) -> None:
    other = Mesh(f"{mine.name}c", mine.home.with_name(mine.home.name + "c"))
    before = traces(other.name, other.home)
    # What a shell starts in the background does not hear Ctrl-C, and passes that on: these tests may run so.
    hears = ["/usr/bin/env", "--default-signal=INT"]
    command = [*hears, *PLAIT, "up", "--nodes", "1", "--port", str(other.port), "--name", other.name]
    environment = {**os.environ, "PLAIT_HOME": str(other.home)}
    started = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None and "imports" in started.stdout.readline()
        started.send_signal(signal.SIGINT)
        _, told = started.communicate(timeout=90)
        assert started.returncode == 130 and "interrupted" in told and "Traceback" not in told
        assert traces(other.name, other.home) == before
    finally:
        started.kill()
        other.plait("down")


def test_taking_one_mesh_down_leaves_that_whose_name_begins_alike(mine: Mesh) -> None:
    if not mine.layout.record.exists() or not mine.record.supervisor.alive():
        mine.up("--nodes", "1")
    spaces = traces(mine.name, mine.home)["namespaces"]
    assert Mesh(mine.name.removesuffix("-l"), mine.home).plait("down").returncode == 0
    assert spaces and set(spaces) <= set(traces(mine.name, mine.home)["namespaces"])  # pods may still be starting
    until(lambda: mine.plait("status").returncode == 0, "still healthy")


def test_a_port_in_use_is_named_with_the_way_out(mine: Mesh) -> None:
    other = Mesh(f"{mine.name}p", mine.home)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = other.plait("up", "--detach", "--port", str(port))
    assert done.returncode == 1 and f"127.0.0.1:{port} is in use" in done.stderr and "leave --port out" in done.stderr
    assert not other.layout.record.exists() and "Traceback" not in done.stderr


def test_a_missing_program_is_named_with_its_package(mine: Mesh, tmp_path: Path) -> None:
    for program in ("ip", "iptables-restore", "sh"):
        found = subprocess.run(["which", program], capture_output=True, text=True, check=True).stdout.strip()
        (tmp_path / program).symlink_to(found)
    other = Mesh(f"{mine.name}b", mine.home)
    # PLAIT_SYSTEM_PATH="" keeps the sbin directories from being added, as on a machine without the package.
    done = other.plait("up", "--detach", PATH=str(tmp_path), PLAIT_SYSTEM_PATH="")
    assert done.returncode == 1 and re.search(r"ipset: .*apt-get install", done.stderr), done.stderr
    assert not other.layout.record.exists()
