"""Long-lived connections of one client: half of them talk all the time, half are silent, and none may break.

A coroutine for `child.start`: it runs inside a pod's network namespace and returns plain values.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from plait.trial import child

_PAUSE = 0.2
_TIMEOUT = 10.0


@dataclass(slots=True)
class Held:
    """`broken` maps a reason to how many connections it ended; `exchanges` = answered requests on all of them."""

    opened: int = 0
    exchanges: int = 0
    broken: Counter[str] = field(default_factory=Counter)

    @property
    def broken_total(self) -> int:
        return sum(self.broken.values())


async def hold(host: str, port: int, count: int, stop: asyncio.Event) -> Held:
    """Open `count` connections, keep them until `stop`, then ask once more on each: a silent one shows only then."""
    result = Held()
    pending = [asyncio.open_connection(host, port) for _ in range(count)]
    opened = [await each for each in pending]
    for reader, writer in opened:
        await _exchange(reader, writer, result)
    result.opened = len(opened)
    child.started()
    await asyncio.gather(
        *(_one(*streams, busy=number % 2 == 0, result=result, stop=stop) for number, streams in enumerate(opened))
    )
    return result


async def _one(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, busy: bool, result: Held, stop: asyncio.Event
) -> None:
    try:
        while not stop.is_set():
            if busy:
                await _exchange(reader, writer, result)
            try:
                async with asyncio.timeout(_PAUSE):
                    await stop.wait()
            except TimeoutError:
                continue
        await _exchange(reader, writer, result)
    except (OSError, EOFError, TimeoutError) as error:
        result.broken[f"{'busy' if busy else 'idle'}: {type(error).__name__}"] += 1
    finally:
        writer.close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, result: Held) -> None:
    async with asyncio.timeout(_TIMEOUT):
        writer.write(b"GET / HTTP/1.1\r\nhost: echo\r\n\r\n")
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
    result.exchanges += 1
