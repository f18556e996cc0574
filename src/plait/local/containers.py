"""Containers as the kubelet sees them: start, signal, run inside, adopt after a restart. The launcher does the work.

Each container has a directory (spec.json, state.json, exit.json): what a restarted kubelet needs is on disk. The
launcher is started on demand, in a session of its own, and stays while containers run.
"""

from __future__ import annotations

import array
import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plait
from plait.base import aio
from plait.base.observe import logger
from plait.local import syscalls

_log = logger("containers")
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from plait.local.launcher import main; main()"
LOST = 137  # exit code of a container whose end nobody saw


class StartError(Exception):
    """The container's process could not become its command; the message is the launcher's."""


@dataclass(frozen=True, slots=True)
class Running:
    id: str
    pid: int
    start: int
    started_at: float

    @property
    def alive(self) -> bool:
        return syscalls.start_time(self.pid) == self.start


@dataclass(frozen=True, slots=True)
class Exit:
    id: str
    code: int
    signal: int
    finished_at: float


class Containers:
    """One node's containers. `on_exit` is called in the event loop for each container that ends."""

    def __init__(self, directory: Path, on_exit: Callable[[Exit], None]) -> None:
        self._path = directory / "launcher.sock"
        self._on_exit = on_exit
        self._socket: socket.socket | None = None
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._sessions: dict[int, asyncio.Future[int]] = {}
        self._number = 0
        self._opening = asyncio.Lock()
        self._watching: set[str] = set()

    async def open(self) -> None:
        """Connect to the launcher of this node, starting it where none answers."""
        async with self._opening:
            if self._socket is not None:
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connected = self._connect()
            if connected is None:
                await asyncio.to_thread(self._launch)
                connected = self._connect()
            if connected is None:
                raise StartError(f"the container launcher does not answer on {self._path}")
            connected.setblocking(False)
            self._socket = connected
            asyncio.get_running_loop().add_reader(connected.fileno(), self._readable)

    def _connect(self) -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            connection.connect(str(self._path))
        except OSError:
            connection.close()
            return None
        return connection

    def _launch(self) -> None:
        source = str(Path(plait.__path__[0]).parent)
        log = open(self._path.with_suffix(".log"), "ab")  # noqa: SIM115 - closed below
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT, source, str(self._path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        assert process.stdout is not None
        with process.stdout as out:
            if out.read(1) != b"!":
                raise StartError(f"the container launcher did not start: see {self._path.with_suffix('.log')}")
        process.returncode = 0  # it outlives us on purpose: nobody here waits for it

    async def close(self, *, quit: bool) -> None:
        """Leave the launcher; with `quit` it ends every container and itself."""
        if quit:
            with suppress(StartError, OSError):
                await self._ask({"verb": "quit"})
        self._lost()

    # --- containers

    async def run(self, spec: dict[str, Any]) -> Running:
        """Start a container from its spec (see `launcher`); its directory must exist."""
        path = Path(spec["directory"]) / "spec.json"
        for leftover in ("exit.json", "state.json"):
            path.with_name(leftover).unlink(missing_ok=True)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            json.dump(spec, file)
        state = await self._ask({"verb": "run", "spec": str(path)})
        return Running(spec["id"], state["pid"], state["start"], state["startedAt"] / 1e9)

    def find(self, directory: Path, id: str) -> Running | Exit | None:
        """What is recorded of a container: how it ended, else what was started (perhaps dead by now), else None."""
        with suppress(OSError, ValueError):
            return self._ending(directory, id)
        with suppress(OSError, ValueError):
            state = json.loads((directory / "state.json").read_text())
            return Running(id, state["pid"], state["start"] or 0, state["startedAt"] / 1e9)
        return None

    def _ending(self, directory: Path, id: str) -> Exit:
        ending = json.loads((directory / "exit.json").read_text())
        return Exit(id, ending["code"], ending["signal"], ending["finishedAt"] / 1e9)

    async def watch_orphan(self, running: Running, directory: Path) -> None:
        """For a container whose launcher died: report its end ourselves. Others are reported by the launcher.

        The launcher writes an ending down before it forgets the container, so: asked first, then read.
        """
        if running.id in self._watching:
            return
        answer = await self._ask({"verb": "list"})
        if running.id in answer["running"]:
            return
        self._watching.add(running.id)
        try:
            handle = os.pidfd_open(running.pid)
        except ProcessLookupError:
            handle = -1
        if handle >= 0:
            ended = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().add_reader(handle, lambda: None if ended.done() else ended.set_result(None))
            try:
                if running.alive and not select.select([handle], [], [], 0)[0]:
                    await ended
            finally:
                asyncio.get_running_loop().remove_reader(handle)
                os.close(handle)
        self._watching.discard(running.id)
        found = self.find(directory, running.id)
        self._on_exit(found if isinstance(found, Exit) else Exit(running.id, LOST, signal.SIGKILL, aio.now()))

    def signal(self, running: Running, number: int) -> None:
        try:
            handle = os.pidfd_open(running.pid)
        except ProcessLookupError:
            return
        try:
            if running.alive:
                signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return
        finally:
            os.close(handle)

    async def kill(self, running: Running) -> None:
        """End every process of the container."""
        with suppress(StartError, OSError):
            await self._ask({"verb": "kill", "id": running.id})
        self.signal(running, signal.SIGKILL)

    async def execute(
        self, running: Running, directory: Path, argv: Sequence[str], fds: tuple[int, int, int], *, tty: bool = False
    ) -> tuple[int, asyncio.Future[int]]:
        """Run a command inside a container on three descriptors (ours to close): its pid and its exit code later."""
        if not running.alive:
            raise StartError("the container is not running")
        order = {
            "verb": "exec",
            "spec": str(directory / "spec.json"),
            "pid": running.pid,
            "start": running.start,
            "argv": list(argv),
            "tty": tty,
        }
        await self.open()
        number = self._number + 1
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._sessions[number] = ended
        try:
            answer = await self._ask(order, fds)
        except BaseException:
            self._sessions.pop(number, None)
            raise
        return int(answer["pid"]), ended

    # --- the socket

    async def _ask(self, order: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
        if self._socket is None:
            await self.open()
        assert self._socket is not None
        self._number += 1
        number = self._number
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        data = json.dumps({**order, "n": number}).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._socket.sendmsg([data], rights)
            result = await answer
        except OSError as error:
            self._lost()
            raise StartError(f"the container launcher went away: {error}") from error
        finally:
            self._answers.pop(number, None)
        if "error" in result:
            raise StartError(result["error"])
        return result

    def _readable(self) -> None:
        while self._socket is not None:
            try:
                data = self._socket.recv(64 * 1024)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lost()
                return
            message = json.loads(data)
            number = message.get("n", 0)
            if message.get("event") == "exit":
                at = message["finishedAt"] / 1e9
                self._on_exit(Exit(message["id"], message["code"], message["signal"], at))
            elif message.get("event") == "exec":
                if (session := self._sessions.pop(number, None)) is not None and not session.done():
                    session.set_result(message["code"])
            elif (answer := self._answers.get(number)) is not None and not answer.done():
                answer.set_result(message)

    def _lost(self) -> None:
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._socket = None
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(StartError("the container launcher went away"))
        for session in self._sessions.values():
            if not session.done():
                session.set_result(LOST)
        self._sessions.clear()
