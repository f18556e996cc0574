"""Running a piece of work as if it were a process of a pod or node: a forked child inside that network namespace.

Traffic of demo and bench comes from here, so it takes exactly the road an application's traffic takes. The calling
process must be single-threaded when it forks (it may run an event loop; the child leaves it behind).
"""

from __future__ import annotations

import asyncio
import os
import pickle
import selectors
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Generic, TypeVar

from plait.base import netns
from plait.local import space

T = TypeVar("T")


class ChildError(Exception):
    """The work raised; the message is the child's traceback."""


class Child(Generic[T]):
    """A started child. `finish()` asks it to stop (SIGTERM cancels its coroutine) and gives what it returned."""

    def __init__(self, pid: int, reader: int, started: int) -> None:
        self.pid, self._reader, self._started = pid, reader, started

    def wait_started(self) -> None:
        """Block until the work called `started()`, or ended."""
        with os.fdopen(self._started, "rb") as pipe:
            pipe.read(1)
        self._started = -1

    def wait(self) -> T:
        """Block until the child is done by itself."""
        with os.fdopen(self._reader, "rb") as pipe:
            data = pipe.read()
        if self._started >= 0:
            os.close(self._started)
            self._started = -1
        os.waitpid(self.pid, 0)
        if not data:
            raise ChildError("the child ended without an answer")
        ok, value = pickle.loads(data)
        if not ok:
            raise ChildError(value)
        return value  # type: ignore[no-any-return]  # pickled by our own child, of the type `start` promised

    def finish(self) -> T:
        os.kill(self.pid, signal.SIGTERM)
        return self.wait()


_started = -1  # in a child: where to say that the work is under way


def started() -> None:
    """Called by the work when it is under way (a capture is listening, a load has its first answer)."""
    os.write(_started, b"1")


def start(
    work: Callable[[asyncio.Event], Coroutine[Any, Any, T]],
    namespace: Path | None = None,
    holder: int = 0,
    *,
    precise: bool = False,
) -> Child[T]:
    """Fork, enter `namespace`, run `work(stop)`; `stop` is set by SIGTERM. The result must be picklable.

    `precise`: timers of the loop fire within microseconds (select) instead of whole milliseconds (epoll); below 1,024
    descriptors only.
    """
    reader, writer = os.pipe()
    started_reader, started_writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(writer)
        os.close(started_writer)
        return Child(pid, reader, started_reader)
    os.close(reader)
    os.close(started_reader)
    global _started
    _started = started_writer
    answer: tuple[bool, Any]
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        space.enter(holder)
        if namespace is not None:
            netns.enter(namespace)
        asyncio.set_event_loop(None)
        asyncio._set_running_loop(None)  # the parent's loop was copied by fork and is not ours
        with asyncio.Runner(loop_factory=_precise if precise else None) as runner:
            answer = (True, runner.run(_run(work)))
    except BaseException:
        import traceback

        answer = (False, traceback.format_exc())
    try:
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(answer, pipe)
    finally:
        os._exit(0)


def _precise() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


async def _run(work: Callable[[asyncio.Event], Coroutine[Any, Any, T]]) -> T:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return await work(stop)


def run(work: Callable[[asyncio.Event], Coroutine[Any, Any, T]], namespace: Path | None = None, holder: int = 0) -> T:
    """`start` and `wait` in one."""
    return start(work, namespace, holder).wait()
