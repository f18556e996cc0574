"""Keep one Envoy running: start it so that it outlives us where wanted, restart it with back-off, stop it with a drain.

The process group is not ours: after a crash of the agent the next one finds the Envoy by its pid file and goes on with
it, so traffic does not notice. It knows nothing of the configuration but its file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from plait.base import aio
from plait.base.observe import logger
from plait.proxy import processes
from plait.proxy.admin import Admin, AdminError

_log = logger("proxy")
STEADY: Final = 30.0  # seconds of life after which a crash counts as the first again
LOG_LIMIT: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """How one Envoy is started. `directory` receives its log, pid file and admin address."""

    directory: Path
    name: str
    arguments: tuple[str, ...]
    """Envoy's own, the program's name not included."""
    prefix: tuple[str, ...] = ()
    """Words before the program: what moves it to another network namespace."""
    survive: bool = True
    """Envoy lives on when this process dies (a restarted agent adopts it)."""
    start_seconds: float = 20.0

    @property
    def pid_file(self) -> Path:
        return self.directory / "envoy.pid"

    @property
    def log(self) -> Path:
        return self.directory / "envoy.log"


class StartFailed(Exception):
    """Envoy did not become ready; the message ends with its last log lines."""


class Supervisor:
    """One Envoy. `run()` keeps it alive; `lost()` is called whenever a running one ended."""

    def __init__(self, settings: Settings, admin: Admin, lost: Callable[[], None] = lambda: None) -> None:
        self.settings, self._admin, self._lost = settings, admin, lost
        self._process: processes.Process | None = None
        self.restarts = 0
        self.ready = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def run(self) -> None:
        """Adopt or start, wait until ready, watch; again after each end. Ends only when cancelled (Envoy is left)."""
        delays = aio.backoff(0.1, 15.0)
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self.start()
                await self._watch()
                self._lost()
                _log.error("envoy ended", proxy=self.settings.name, log=self.settings.log, last=self.last_lines(3))
            except StartFailed as error:
                _log.error("envoy did not start", proxy=self.settings.name, error=error)
            self.ready.clear()
            self.restarts += 1
            if asyncio.get_running_loop().time() - began > STEADY:
                delays = aio.backoff(0.1, 15.0)
            await asyncio.sleep(next(delays))

    async def start(self) -> None:
        """Adopt the running Envoy of this directory or start one; returns when it is ready."""
        settings = self.settings
        settings.directory.mkdir(parents=True, exist_ok=True)
        self._process = processes.recorded(settings.pid_file)
        if self._process is None:
            self._trim_log()
            self._process = processes.launch(
                self.command(),
                log=settings.log,
                pid_file=settings.pid_file,
                survive=settings.survive,
                env=_environment(),
            )
        else:
            _log.info("found a running envoy", proxy=settings.name, pid=self._process.pid)
        try:
            await self._until_ready(self._process)
        except StartFailed:
            await self._kill(self._process)
            raise
        self.ready.set()

    async def stop(self, *, drain: float = 0.0) -> None:
        """End it: with `drain`, first refuse new work and give live connections that long."""
        process = self._process or processes.recorded(self.settings.pid_file)
        if process is None:
            return
        if drain:
            with contextlib.suppress(AdminError):
                await self._admin.drain()
            await self._ended(process, drain)
        await self._kill(process)
        self.settings.pid_file.unlink(missing_ok=True)
        self._process = None
        self.ready.clear()

    def command(self) -> list[str]:
        """The command line; hot restart is off until upgrades hand listeners over."""
        # Shared memory of hot restart is keyed by base id across users of one machine: stay out of it.
        return [*self.settings.prefix, str(processes.envoy_binary()), *self.settings.arguments, "--disable-hot-restart"]

    def last_lines(self, count: int = 10) -> str:
        try:
            return "\n".join(self.settings.log.read_text(errors="replace").splitlines()[-count:])
        except OSError:
            return ""

    async def _until_ready(self, process: processes.Process) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.start_seconds
        while process.alive():
            if await self._admin.ready():
                return
            if loop.time() > deadline:
                raise StartFailed(f"not ready after {self.settings.start_seconds:g} s\n{self.last_lines()}")
            await asyncio.sleep(0.02)
        raise StartFailed(f"it ended at once\n{self.last_lines()}")

    async def _watch(self) -> None:
        if self._process is not None:
            await self._process.wait()

    async def _kill(self, process: processes.Process) -> None:
        for number, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            process.send(number)
            if await self._ended(process, patience):
                return

    async def _ended(self, process: processes.Process, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            return False
        return True

    def _trim_log(self) -> None:
        with contextlib.suppress(OSError):
            if self.settings.log.stat().st_size > LOG_LIMIT:
                self.settings.log.replace(self.settings.log.with_suffix(".log.1"))


def _environment() -> dict[str, str]:
    # glibc registers rseq for itself; tcmalloc then falls back to per-thread caches. Give it back: less memory.
    return {**os.environ, "GLIBC_TUNABLES": "glibc.pthread.rseq=0"}
