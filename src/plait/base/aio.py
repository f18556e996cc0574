"""The only birthplace of tasks, and the few asyncio words every shell shares: Latest, spawn, backoff, now."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, Generic, TypeVar

from plait.base.observe import logger

T = TypeVar("T")
_log = logger("aio")
_running: set[asyncio.Task[Any]] = set()


def now() -> float:
    """Wall clock, seconds since the epoch. Shells read it here so that tests can replace one name."""
    return time.time()


def spawn(coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """Start a task that is kept alive until it ends, and whose unexpected failure is logged, never swallowed."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _running.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("task failed", task=task.get_name(), error=repr(error), exc_info=error)


async def cancel(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel tasks and wait until each has really ended."""
    alive = [task for task in tasks if task is not None and not task.done()]
    for task in alive:
        task.cancel()
    await asyncio.gather(*alive, return_exceptions=True)


class Latest(Generic[T]):
    """A one-slot channel: readable at once, the newest value wins, an equal value wakes nobody."""

    def __init__(self, value: T) -> None:
        self._value = value
        self._changed = asyncio.Event()

    @property
    def value(self) -> T:
        return self._value

    def set(self, value: T) -> None:
        if value is self._value or value == self._value:
            return
        self._value = value
        self._changed.set()
        self._changed = asyncio.Event()

    async def changes(self) -> AsyncIterator[T]:
        """Yield the present value, then each later one; values set while the reader is busy are skipped."""
        while True:
            changed, value = self._changed, self._value
            yield value
            if self._value is value:
                await changed.wait()


def backoff(first: float = 0.01, most: float = 15.0, factor: float = 2.0) -> Iterator[float]:
    """Seconds to wait before each retry, exponential with full jitter on the upper half."""
    delay = first
    while True:
        yield delay * (0.5 + random.random() / 2)
        delay = min(most, delay * factor)
