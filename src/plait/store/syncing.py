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
            self._running = aio.spawn(self._once(), "sync of the journal")
        return self._running

    async def _once(self) -> None:
        """Nobody waits for more than what was written before: what comes meanwhile has the next round."""
        reached = self._written
        await asyncio.to_thread(self._sync)
        self._durable = reached
        if self._written > reached:
            asyncio.get_running_loop().call_soon(self._begin)
