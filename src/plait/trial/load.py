"""An open-loop HTTP/1.1 load generator: requests are due at fixed times whether or not earlier ones were answered.

Latency is counted from when a request was *due*, so a stalled server cannot hide behind a waiting client
(coordinated omission). A request is lost when it got no complete answer or a status of 500 or more; nothing is retried.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send. `rate` in requests a second (0 = as fast as `connections` allow), `seconds` 0 = until stopped."""

    host: str
    port: int
    rate: float = 100.0
    seconds: float = 0.0
    connections: int = 8
    keep_alive: bool = True
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Result:
    """`latencies` in seconds, one an answered request; `lost` maps a reason to how often it happened. `unsent` were due
    when the load was stopped, and never left: the machine cannot carry the rate."""

    sent: int = 0
    unsent: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def lost_total(self) -> int:
        return sum(self.lost.values())

    def percentile(self, share: float) -> float:
        """Latency in seconds at `share` (0.5, 0.99); 0 when nothing was answered."""
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Connection(asyncio.Protocol):
    """One HTTP/1.1 connection, one request at a time; understands sized, chunked and close-delimited bodies."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if (status := _complete(self._buffer)) is not None:
            self._buffer.clear()
            self._done(status)

    def eof_received(self) -> None:
        if self._buffer.startswith(b"HTTP/1.") and b"content-length:" not in self._buffer.lower():
            self._done(int(self._buffer[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        if self._answer and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("closed before an answer"))

    def _done(self, status: int) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_result(status)

    async def request(self, data: bytes) -> int:
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("closed")
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        return await self._answer


def _complete(buffer: bytearray) -> int | None:
    """Status code once the whole answer is there, else None."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(buffer[:end]).lower()
    if (at := head.find(b"\r\ncontent-length:")) >= 0:
        length = int(head[at + 17 :].split(b"\r\n", 1)[0])
        return int(buffer[9:12]) if len(buffer) >= end + 4 + length else None
    if b"\r\ntransfer-encoding: chunked" in head:
        return int(buffer[9:12]) if buffer.endswith(b"0\r\n\r\n") else None
    return None


async def run(plan: Plan, stop: asyncio.Event) -> Result:
    """Send until `plan.seconds` are over or `stop` is set; waits for requests under way."""
    result = Result()
    request = _request(plan)
    due: asyncio.Queue[float | None] = asyncio.Queue()
    began = time.perf_counter()
    workers = [asyncio.ensure_future(_worker(plan, request, due, result)) for _ in range(plan.connections)]
    await (_pace(plan, due, stop, began) if plan.rate else _flood(plan, due, stop, began))
    while stop.is_set() and not due.empty():
        due.get_nowait()
        result.unsent += 1
    for _ in workers:
        due.put_nowait(None)
    await asyncio.gather(*workers)
    result.seconds = time.perf_counter() - began
    return result


def _request(plan: Plan) -> bytes:
    headers = {"host": f"{plan.host}:{plan.port}", "connection": "keep-alive" if plan.keep_alive else "close"}
    headers.update(plan.headers)
    lines = [f"GET {plan.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


async def _pace(plan: Plan, due: asyncio.Queue[float | None], stop: asyncio.Event, began: float) -> None:
    count = 0
    while not stop.is_set() and not (plan.seconds and count >= plan.rate * plan.seconds):
        at = began + count / plan.rate
        if (wait := at - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        due.put_nowait(at)
        count += 1


async def _flood(plan: Plan, due: asyncio.Queue[float | None], stop: asyncio.Event, began: float) -> None:
    """Closed loop: keep every connection busy (for finding saturation only)."""
    while not stop.is_set() and time.perf_counter() - began < (plan.seconds or float("inf")):
        while due.qsize() < plan.connections * 2:
            due.put_nowait(0.0)
        await asyncio.sleep(0)


async def _worker(plan: Plan, request: bytes, due: asyncio.Queue[float | None], result: Result) -> None:
    connection: _Connection | None = None
    loop = asyncio.get_running_loop()
    while (at := await due.get()) is not None:
        began = at or time.perf_counter()
        result.sent += 1
        try:
            async with asyncio.timeout(_TIMEOUT):
                if connection is None or connection.transport is None or connection.transport.is_closing():
                    _, connection = await loop.create_connection(_Connection, plan.host, plan.port)
                status = await connection.request(request)
        except (OSError, TimeoutError) as error:
            result.lost[type(error).__name__] += 1
            _close(connection)
            connection = None
            continue
        result.latencies.append(time.perf_counter() - began)
        result.statuses[status] += 1
        if status >= 500:
            result.lost[f"status {status}"] += 1
        if not plan.keep_alive:
            _close(connection)
            connection = None
    _close(connection)


def _close(connection: _Connection | None) -> None:
    if connection and connection.transport:
        connection.transport.close()
