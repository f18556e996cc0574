"""Keep one Envoy running: start it so that it outlives us where wanted, restart it with back-off, stop it with a drain.

The process group is not ours: after a crash of the agent the next one finds the Envoy by its pid file and goes on with
it, so traffic does not notice. It knows nothing of the configuration but its file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from plait.base import aio
from plait.base.observe import logger
from plait.proxy import processes
from plait.proxy.admin import Admin, AdminError
from plait.proxy.retired import GRACE, Generation, Retired, moved

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
    nice: int = 0
    start_seconds: float = 20.0
    grace: float = GRACE
    """Seconds an old generation may live on for its last connections."""

    @property
    def pid_file(self) -> Path:
        return self.directory / "envoy.pid"

    @property
    def next_file(self) -> Path:
        """Pid file of a generation that is not in charge yet."""
        return self.directory / "next.pid"

    @property
    def admin_socket(self) -> Path:
        return self.directory / "admin.sock"

    @property
    def log(self) -> Path:
        return self.directory / "envoy.log"


async def _nothing() -> None:
    pass


class StartFailed(Exception):
    """Envoy did not become ready; the message ends with its last log lines."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What a hot restart came to. `connections` are those the old generation still served when it was replaced."""

    pid: int
    generation: int
    """How many handovers this agent has seen."""
    old_pid: int
    connections: int
    seconds: float


class Supervisor:
    """One Envoy in charge, and old ones that finish what they have.

    `run()` keeps one alive; `lost()` is called whenever the one in charge ended; `renew()` puts a new one in charge.
    `prepare()` runs between the start of the new and the end of the old one's listening.
    """

    def __init__(
        self,
        settings: Settings,
        admin: Admin,
        lost: Callable[[], None] = lambda: None,
        *,
        prepare: Callable[[], Awaitable[None]] = _nothing,
        ended: Callable[[str], None] = lambda page: None,
    ) -> None:
        self.settings, self._admin, self._lost, self._prepare = settings, admin, lost, prepare
        self._process: processes.Process | None = None
        self._renewing = asyncio.Lock()
        self.retired = Retired(settings.directory, settings.grace, ended)
        self.restarts = self.generation = 0
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
                async with self._renewing:
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
        self._undo(self._process)
        self.retired.adopt()
        if self._process is None:
            self._trim_log()
            self._process = self._launch(settings.pid_file)
        else:
            _log.info("found a running envoy", proxy=settings.name, pid=self._process.pid)
        try:
            await self._until_ready(self._process)
        except StartFailed:
            await self._kill(self._process)
            raise
        self.ready.set()

    async def renew(self) -> Handover:
        """Start another, give it the work, let the old one finish. StartFailed: everything is as it was.

        Both listen for a moment (SO_REUSEPORT), so there is always somebody who accepts.
        """
        async with self._renewing:
            old, began = self._process, asyncio.get_running_loop().time()
            if old is None or not old.alive() or not self.ready.is_set():
                raise StartFailed("no Envoy is in charge at the moment; it is being started anyway")
            generation = moved(self.settings.directory, old)
            await self._admin.close()
            os.replace(self.settings.admin_socket, generation.socket)
            new = None
            try:
                new = self._launch(self.settings.next_file)
                await self._until_ready(new)
                await self._until_equal(generation, new)
                await self._prepare()
            except BaseException:
                await self._admin.close()
                if new is not None:
                    await self._kill(new)
                self._undo(old)
                raise
            self._process = new
            generation.pid_file.write_text(f"{old.pid} {old.started}\n")
            os.replace(self.settings.next_file, self.settings.pid_file)
            with contextlib.suppress(AdminError):
                await generation.refuse_new()
                await generation.measure()
            self.retired.add(generation)
            self.generation += 1  # now: who sees the count finds the old one among the retired
            took = asyncio.get_running_loop().time() - began
            _log.info("envoy handed over", proxy=self.settings.name, old=old.pid, pid=new.pid, seconds=round(took, 2))
            return Handover(new.pid, self.generation, old.pid, generation.connections, took)

    def outdated(self) -> str:
        """Why the running Envoy is not the one we would start now; "" when it is."""
        if self._process is None:
            return ""
        try:
            command = Path(f"/proc/{self._process.pid}/cmdline").read_bytes().decode().split("\0")[1:-1]
            wanted = self.command()[len(self.settings.prefix) + 1 :]
            runs, ours = os.stat(f"/proc/{self._process.pid}/exe"), os.stat(processes.envoy_binary())
        except (OSError, UnicodeDecodeError):
            return ""
        if (runs.st_dev, runs.st_ino) != (ours.st_dev, ours.st_ino):
            return "another Envoy is installed"
        return "its bootstrap or command line changed" if command != wanted else ""

    async def stop(self, *, drain: float = 0.0) -> None:
        """End it and every old one: with `drain`, first refuse new work and give live connections that long."""
        process = self._process or processes.recorded(self.settings.pid_file)
        self._undo(process)
        await self.retired.stop()
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
        """The command line. Envoy's own hot restart is off: `renew` hands over, for any number of generations."""
        # Its shared memory is keyed by base id across users of one machine, and must be of the same Envoy version.
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

    async def _until_equal(self, old: Generation, new: processes.Process) -> None:
        """Until the new one has every listener of the old one: pods that come meanwhile come to both."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.start_seconds
        missing: set[str] = set()
        while new.alive() and loop.time() < deadline:
            try:
                missing = (await old.admin.listeners()).keys() - (await self._admin.listeners()).keys()
            except AdminError as error:
                missing = {str(error)}
            if not missing:
                return
            await asyncio.sleep(0.05)
        raise StartFailed(f"the new Envoy lacks {len(missing)} listeners, as {next(iter(missing), '')}")

    async def _watch(self) -> None:
        process = None
        while self._process is not None and self._process != process:  # another one: it was handed over
            process = self._process
            await process.wait()

    def _launch(self, pid_file: Path) -> processes.Process:
        return processes.launch(
            self.command(),
            log=self.settings.log,
            pid_file=pid_file,
            survive=self.settings.survive,
            env=_environment(),
            nice=self.settings.nice,
        )

    def _undo(self, current: processes.Process | None) -> None:
        """An unfinished handover, ours or that of an agent that died: the old one stays in charge."""
        unfinished = processes.recorded(self.settings.next_file)
        if unfinished is not None and unfinished != current:
            unfinished.send(signal.SIGKILL)
        self.settings.next_file.unlink(missing_ok=True)
        if current is not None:
            generation = moved(self.settings.directory, current)
            generation.pid_file.unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                os.replace(generation.socket, self.settings.admin_socket)

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
