"""An open-loop HTTP/1.1 load generator: requests are due at fixed times whether or not earlier ones were answered.

Latency is counted from when a request was *due*, so a stalled server cannot hide behind a waiting client
(coordinated omission). A request is lost when it got no complete answer, a status of 500 or more, or not the one status
that is right where a plan names one; nothing is retried.
What the generator itself could not keep is told apart: how late it was to hand requests on, and what it never sent.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from plait.base import netns

_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send. `rate` in requests a second (0 = as fast as `connections` allow), `seconds` 0 = until stopped.

    `phase` delays every request by so many seconds: plans that run side by side would else send at the same moments.
    `right` is the only status that counts as an answer, 0 for any below 500.
    `seed` other than 0 makes the times between requests random (Poisson arrivals) and the same in every run. `inside`:
    the network namespace that connections are opened in, None for the one that the load runs in. With a `name` every
    request has an id of its own (`x-request-id`), by which the logs of proxies know it.
    """

    host: str
    port: int
    rate: float = 100.0
    seconds: float = 0.0
    connections: int = 8
    keep_alive: bool = True
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    phase: float = 0.0
    seed: int = 0
    right: int = 0
    inside: Path | None = None
    name: str = ""


class Lost(NamedTuple):
    """A request that got no answer, or not the right one: when (seconds since the load began), why, and what proxies
    know it by: its id, and the address and port that its connection came from; "" where there is none."""

    at: float
    reason: str
    request: str = ""
    source: str = ""


@dataclass(slots=True)
class Result:
    """`latencies` in seconds, one an answered request; `lost` maps a reason to how often it happened, `lost_at` has
    each one. `unsent` were due when the load was stopped, and never left: the
    machine cannot carry the rate. `lags`: how late the generator itself was with each request, before any waiting for
    a connection."""

    sent: int = 0
    unsent: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    lost_at: list[Lost] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)

    @property
    def lost_total(self) -> int:
        return sum(self.lost.values())

    def percentile(self, share: float) -> float:
        """Latency in seconds at `share` (0.5, 0.99); 0 when nothing was answered."""
        return _percentile(self.latencies, share)

    def lag(self, share: float) -> float:
        """How late the generator was at `share`, in seconds."""
        return _percentile(self.lags, share)

    def take(self, other: Result) -> None:
        """Add what a load beside this one saw; `seconds` is of the longer one."""
        self.sent += other.sent
        self.unsent += other.unsent
        self.seconds = max(self.seconds, other.seconds)
        self.statuses += other.statuses
        self.lost += other.lost
        self.latencies += other.latencies
        self.lost_at += other.lost_at
        self.lags += other.lags

    def lose(self, reason: str, at: float, request: str = "", source: str = "") -> None:
        self.lost[reason] += 1
        self.lost_at.append(Lost(at, reason, request, source))


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class _Connection(asyncio.Protocol):
    """One HTTP/1.1 connection, one request at a time; understands sized, chunked and close-delimited bodies."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.source = ""
        self._answer: asyncio.Future[int] | None = None
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.source = "{}:{}".format(*transport.get_extra_info("sockname")[:2])

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if (status := _complete(self._buffer)) is not None:
            last = b"\r\nconnection: close\r\n" in self._buffer.lower()
            self._buffer.clear()
            self._done(status)
            if last and self.transport is not None:  # whoever answers asks for another connection from now on
                self.transport.close()

    def eof_received(self) -> None:
        if self._buffer.startswith(b"HTTP/1.") and b"content-length:" not in self._buffer.lower():
            self._done(int(self._buffer[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        if self._answer and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("closed before an answer"))

    @property
    def open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def _done(self, status: int) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_result(status)

    async def request(self, data: bytes) -> int:
        if self.transport is None or not self.open:
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


async def together(plans: Sequence[Plan], stop: asyncio.Event) -> Result:
    """Several plans side by side, as one result: their requests alternate, each connection in its plan's namespace."""
    shifted = [replace(plan, phase=n / plan.rate / len(plans) if plan.rate else 0.0) for n, plan in enumerate(plans)]
    whole = Result()
    for result in await asyncio.gather(*(run(plan, stop) for plan in shifted)):
        whole.take(result)
    return whole


async def run(plan: Plan, stop: asyncio.Event) -> Result:
    """Send until `plan.seconds` are over or `stop` is set; waits for requests under way."""
    result = Result()
    due: asyncio.Queue[float | None] = asyncio.Queue(0 if plan.rate else plan.connections)
    began = time.perf_counter()
    workers = [asyncio.ensure_future(_worker(plan, due, result, began)) for _ in range(plan.connections)]
    await (_pace(plan, due, stop, began, result) if plan.rate else _flood(plan, due, stop, began))
    while stop.is_set() and not due.empty():
        due.get_nowait()
        result.unsent += 1
    for _ in workers:
        await due.put(None)
    await asyncio.gather(*workers)
    result.seconds = time.perf_counter() - began
    return result


def _head(plan: Plan) -> bytes:
    """A request but for its end."""
    headers = {"host": f"{plan.host}:{plan.port}", "connection": "keep-alive" if plan.keep_alive else "close"}
    headers.update(plan.headers)
    lines = [f"GET {plan.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), ""]
    return "\r\n".join(lines).encode()


def arrivals(plan: Plan) -> Iterator[float]:
    """When requests are due, in seconds since the load began; without end where the plan has none."""
    endless = _poisson(plan) if plan.seed else _even(plan)
    return takewhile(lambda at: at < plan.seconds + plan.phase, endless) if plan.seconds else endless


def _even(plan: Plan) -> Iterator[float]:
    count = 0
    while True:
        yield plan.phase + count / plan.rate
        count += 1


def _poisson(plan: Plan) -> Iterator[float]:
    numbers, at = random.Random(plan.seed), plan.phase
    while True:
        at += numbers.expovariate(plan.rate)
        yield at


async def _pace(
    plan: Plan, due: asyncio.Queue[float | None], stop: asyncio.Event, began: float, result: Result
) -> None:
    for offset in arrivals(plan):
        at = began + offset
        if (wait := at - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        if stop.is_set():
            return
        result.lags.append(time.perf_counter() - at)
        due.put_nowait(at)


async def _flood(plan: Plan, due: asyncio.Queue[float | None], stop: asyncio.Event, began: float) -> None:
    """Closed loop: keep every connection busy (for finding saturation only)."""
    while not stop.is_set() and time.perf_counter() - began < (plan.seconds or float("inf")):
        await due.put(0.0)


async def _worker(plan: Plan, due: asyncio.Queue[float | None], result: Result, start: float) -> None:
    connection: _Connection | None = None
    head = _head(plan)
    while (at := await due.get()) is not None:
        began = at or time.perf_counter()
        result.sent += 1
        known = f"{plan.name}-{result.sent}" if plan.name else ""
        request = head + (f"x-request-id: {known}\r\n\r\n".encode() if known else b"\r\n")
        try:
            async with asyncio.timeout(_TIMEOUT):
                if connection is None or connection.transport is None or connection.transport.is_closing():
                    connection = await _connect(plan)
                status = await connection.request(request)
        except (OSError, TimeoutError) as error:
            result.lose(
                type(error).__name__, time.perf_counter() - start, known, connection.source if connection else ""
            )
            _close(connection)
            connection = None
            continue
        result.latencies.append(time.perf_counter() - began)
        result.statuses[status] += 1
        if status != plan.right if plan.right else status >= 500:
            result.lose(f"status {status}", time.perf_counter() - start, known, connection.source)
        if not plan.keep_alive:
            _close(connection)
            connection = None
    _close(connection)


async def _connect(plan: Plan) -> _Connection:
    """A socket belongs to the namespace it was made in for good, so only its making has to happen inside; nothing is
    awaited there, so nobody else of this event loop ever runs in that namespace."""
    loop = asyncio.get_running_loop()
    if plan.inside is None:
        return (await loop.create_connection(_Connection, plan.host, plan.port))[1]
    with netns.inside(plan.inside):
        opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        await loop.sock_connect(opened, (plan.host, plan.port))
        return (await loop.create_connection(_Connection, sock=opened))[1]
    except BaseException:
        opened.close()
        raise


def _close(connection: _Connection | None) -> None:
    if connection and connection.transport:
        connection.transport.close()
