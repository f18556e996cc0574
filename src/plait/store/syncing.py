"""Syncing: writes that come together wait for the disk together, in a thread, and hold up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from plait.base import aio


class Syncing:
    """`wrote()` after each write, `await done()` before it is acknowledged. `sync` makes all of it durable."""

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._written = self._durable = 0
        self._running: asyncio.Task[None] | None = None

    def wrote(self) -> None:
        """There is something to sync: begin now, with a loop in a thread, else at once."""
        self._written += 1
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._sync()
            self._durable = self._written
        else:
            self._begin()

    async def done(self) -> None:
        """Returns when all that was written before the call is durable; raises what `sync` did."""
        wanted = self._written
        while self._durable < wanted:
            await asyncio.shield(self._begin())

    def _begin(self) -> asyncio.Task[None]:
        if self._running is None or self._running.done():
            self._running = aio.spawn(self._run(), "sync of the journal")
        return self._running

    async def _run(self) -> None:
        """Also of what is written meanwhile, so that a write is never left without one."""
        while self._durable < self._written:
            reached = self._written
            await asyncio.to_thread(self._sync)
            self._durable = reached
