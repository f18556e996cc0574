"""A program that outlives its starter: recorded, in a session of its own, and preferred with all its threads."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from plait.proxy import processes

THREADED = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); time.sleep(60)"


def may_prefer() -> bool:
    """In a child of its own: who lowers its nice value may not be able to raise it again."""
    if (child := os.fork()) == 0:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, -1)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("survive", [True, False], ids=["survives", "ends with us"])
def test_the_proxy_of_all_pods_goes_before_single_processes(tmp_path: Path, survive: bool) -> None:
    """Else all pods of a node wait together where the CPU is short; without root it runs as others do."""
    running = processes.launch(
        [sys.executable, "-c", THREADED],
        log=tmp_path / "log",
        pid_file=tmp_path / "pid",
        survive=survive,
        env=os.environ,
        nice=processes.NODE_PROXY_NICE,
    )
    try:
        assert processes.recorded(tmp_path / "pid") == running
        assert os.getsid(running.pid) != os.getsid(0)
        threads = Path(f"/proc/{running.pid}/task")
        deadline = time.monotonic() + 10
        while len(list(threads.iterdir())) < 2:
            assert time.monotonic() < deadline, "it has no second thread"
            os.sched_yield()
        wanted = processes.NODE_PROXY_NICE if may_prefer() else os.getpriority(os.PRIO_PROCESS, 0)
        assert {os.getpriority(os.PRIO_PROCESS, int(each.name)) for each in threads.iterdir()} == {wanted}
    finally:
        running.send(signal.SIGKILL)
