"""Old generations of one node's Envoy: they refuse new connections, keep what they have, and end with their last one.

Each is noted on disk (pid file and admin socket, both with its pid in the name), so the next agent goes on waiting.
Envoy's own hot restart is not used: a third generation makes the second end the first, and with it every connection
that is older than two upgrades.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from plait.base import aio
from plait.base.observe import logger
from plait.proxy import processes
from plait.proxy.admin import Admin, AdminError

_log = logger("proxy")
POLL: Final = 2.0
GRACE: Final = 12 * 3600.0
"""Seconds after which an old generation ends, whatever it still serves."""


@dataclass(slots=True)
class Generation:
    """One that was replaced. `connections` was measured last time; -1 before the first time."""

    process: processes.Process
    pid_file: Path
    socket: Path
    admin: Admin = field(init=False)
    connections: int = -1
    page: str = ""

    def __post_init__(self) -> None:
        self.admin = Admin(self.socket)

    async def refuse_new(self) -> None:
        """Close its listening sockets; tell peers' tunnels to go elsewhere with their next connection.

        Open connections, tunnels among them, are left alone: a drain in Envoy ends no TCP connection, and an HTTP/2
        connection only after its last stream.
        """
        await self.admin.stop_listening()
        await self.admin.go_away()

    async def measure(self) -> int:
        self.connections = await self.admin.connections()
        self.page = await self.admin.prometheus()
        return self.connections


def moved(directory: Path, process: processes.Process) -> Generation:
    """The paths of a generation with this process, nothing done yet."""
    return Generation(process, directory / f"old-{process.pid}.pid", directory / f"old-{process.pid}.sock")


class Retired:
    """All old generations of one directory."""

    def __init__(self, directory: Path, grace: float = GRACE, ended: Callable[[str], None] = lambda page: None) -> None:
        self._directory, self._grace, self._ended = directory, grace, ended
        self.generations: list[Generation] = []
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def adopt(self) -> None:
        """Those an earlier agent left."""
        known = {each.process.pid for each in self.generations}
        for file in self._directory.glob("old-*.pid"):
            process = processes.recorded(file)
            if process is None:
                _forget(file, file.with_suffix(".sock"))
            elif process.pid not in known:
                self.add(moved(self._directory, process))

    def add(self, generation: Generation) -> None:
        """Wait for its end in the background."""
        generation.pid_file.write_text(f"{generation.process.pid} {generation.process.started}\n")
        self.generations.append(generation)
        self._tasks[generation.process.pid] = aio.spawn(
            self._until_empty(generation), f"old envoy {generation.process.pid}"
        )

    async def stop(self) -> None:
        """End them all now."""
        await self.leave()
        for file in self._directory.glob("old-*.pid"):
            if (process := processes.recorded(file)) is not None:
                process.send(signal.SIGKILL)
            _forget(file, file.with_suffix(".sock"))

    async def leave(self) -> None:
        """Let them be: our successor adopts them."""
        await aio.cancel(*self._tasks.values())
        for generation in self.generations:
            await generation.admin.close()
        self._tasks.clear()
        self.generations.clear()

    async def _until_empty(self, generation: Generation) -> None:
        loop = asyncio.get_running_loop()
        deadline, refused = loop.time() + self._grace, False
        while generation.process.alive() and loop.time() < deadline:
            with contextlib.suppress(AdminError):
                if not refused:  # again after an agent that died in between; it changes nothing the second time
                    await generation.refuse_new()
                    refused = True
                if await generation.measure() == 0:
                    break
            await asyncio.sleep(POLL)
        left = generation.connections if generation.process.alive() else 0
        with contextlib.suppress(AdminError):
            await generation.measure()
        generation.process.send(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await generation.process.wait()
        generation.process.send(signal.SIGKILL)
        self.generations.remove(generation)
        self._tasks.pop(generation.process.pid, None)
        self._ended(generation.page)
        await generation.admin.close()
        _forget(generation.pid_file, generation.socket)
        _log.info("an old envoy has ended", pid=generation.process.pid, connections=left)


def _forget(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)
