"""A queue of keys: each waits once, is worked on by one worker at a time, and comes back later after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from plait.base import aio

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """`get` a key, work, then `done` it; a key added while it is being worked on is given out again after `done`."""

    def __init__(self, retry: Callable[[], Iterator[float]] = aio.backoff) -> None:
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()  # in the queue, or wanted again after done
        self._working: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._delays: dict[K, Iterator[float]] = {}
        self._retry = retry

    def add(self, key: K) -> None:
        if key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._working:
            self._ready.put_nowait(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Add the key later; of several such wishes the earliest counts."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if (timer := self._timers.get(key)) is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._due, key)

    def _due(self, key: K) -> None:
        del self._timers[key]
        self.add(key)

    async def get(self) -> K:
        key = await self._ready.get()
        self._waiting.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        self._working.discard(key)
        if key in self._waiting:
            self._ready.put_nowait(key)

    def failed(self, key: K) -> None:
        """Try again, each time in a row a little later."""
        self.add_after(key, next(self._delays.setdefault(key, self._retry())))

    def succeeded(self, key: K) -> None:
        self._delays.pop(key, None)

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
