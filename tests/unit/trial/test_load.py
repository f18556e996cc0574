"""The load generator keeps its times, says what it could not keep, and stops when it is told to."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import pytest

from plait.base import netns
from plait.trial import load


@asynccontextmanager
async def server(delay: float = 0.0, status: int = 200) -> AsyncIterator[int]:
    """Answers every request after `delay` seconds; gives its port."""
    running = await asyncio.start_server(lambda r, w: _answer(r, w, delay, status), "127.0.0.1", 0)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()


async def test_what_was_due_and_not_sent_is_told_apart_and_not_sent_any_more() -> None:
    async with server(0.2) as port:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.5, stop.set)
        result = await load.run(load.Plan("127.0.0.1", port, rate=200.0, connections=1), stop)
    assert result.lost_total == 0 and len(result.latencies) == result.sent
    assert 1 <= result.sent < 10 < result.unsent


async def test_latency_is_counted_from_when_a_request_was_due_so_waiting_for_a_connection_shows() -> None:
    """One connection, 50 ms an answer, 40 requests a second: the queue grows by a request for every one served."""
    async with server(0.05) as port:
        plan = load.Plan("127.0.0.1", port, rate=40.0, seconds=0.5, connections=1)
        result = await load.run(plan, asyncio.Event())
    assert len(result.latencies) == 20
    assert result.percentile(0.99) > 0.3  # the last waited for nineteen others; its own answer took 50 ms
    assert result.lag(0.5) < 0.05  # the generator itself was in time


async def test_an_error_of_the_server_is_lost_and_when_is_known() -> None:
    async with server(status=503) as port:
        plan = load.Plan("127.0.0.1", port, rate=50.0, seconds=0.1, connections=1)
        result = await load.run(plan, asyncio.Event())
    assert result.lost == {"status 503": 5} and [each.reason for each in result.lost_at] == ["status 503"] * 5
    assert all(0 <= at < 1.0 for at, *_ in result.lost_at)


async def test_a_plan_may_name_the_one_status_that_is_right() -> None:
    async with server(status=403) as port:
        plan = load.Plan("127.0.0.1", port, rate=50.0, seconds=0.1, connections=1)
        assert not (await load.run(plan, asyncio.Event())).lost
        assert not (await load.run(replace(plan, right=403), asyncio.Event())).lost
        assert (await load.run(replace(plan, right=200), asyncio.Event())).lost == {"status 403": 5}


async def test_plans_side_by_side_take_turns_and_give_one_result() -> None:
    async with server() as port:
        plans = [load.Plan("127.0.0.1", port, rate=20.0, seconds=0.2, connections=1)] * 3
        result = await load.together(plans, asyncio.Event())
    assert result.sent == len(result.latencies) == 12


async def test_a_connection_that_the_server_wants_closed_is_left_and_another_opened() -> None:
    opened: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 0\r\n\r\n")
        assert await reader.read() == b"", "the client closes, and asks nothing more"
        writer.close()

    running = await asyncio.start_server(answer, "127.0.0.1", 0)
    plan = load.Plan("127.0.0.1", running.sockets[0].getsockname()[1], rate=50.0, seconds=0.1, connections=1)
    result = await load.run(plan, asyncio.Event())
    running.close()
    assert result.statuses == {200: 5} and len(opened) == 5 and not result.lost


async def test_a_flood_keeps_its_connections_busy_and_ends_in_time() -> None:
    async with server(0.01) as port:
        plan = load.Plan("127.0.0.1", port, rate=0.0, seconds=0.3, connections=2)
        result = await load.run(plan, asyncio.Event())
    assert 20 <= result.sent <= 62 and not result.lost  # two connections, 10 ms an answer
    assert result.percentile(0.5) < 0.1 and result.seconds < 1.0


def test_even_arrivals_begin_at_the_phase_and_end_with_the_plan() -> None:
    plan = load.Plan("h", 1, rate=10.0, seconds=0.3, phase=0.05)
    assert [round(at, 3) for at in load.arrivals(plan)] == [0.05, 0.15, 0.25]


def test_random_arrivals_have_the_rate_and_are_the_same_in_every_run() -> None:
    plan = load.Plan("h", 1, rate=100.0, seed=7)
    first, again = (list(islice(load.arrivals(plan), 5000)) for _ in range(2))
    assert first == again == sorted(first)
    assert 48 < first[-1] < 52
    gaps = [b - a for a, b in pairwise(first)]
    assert min(gaps) < 0.001 and max(gaps) > 0.05


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace: needs root")
async def test_connections_are_opened_in_the_namespace_that_the_plan_names() -> None:
    """A server that only that namespace can reach; this thread stays where it was."""
    place, home = Path(f"/run/netns/load-{os.getpid()}"), os.readlink("/proc/thread-self/ns/net")
    netns.create(place)
    try:
        listening = netns.call(place, _listen)
        running = await asyncio.start_server(_answer, sock=listening)
        port = listening.getsockname()[1]
        away = await load.run(load.Plan("127.0.0.1", port, rate=50.0, seconds=0.1, inside=place), asyncio.Event())
        here = await load.run(load.Plan("127.0.0.1", port, rate=50.0, seconds=0.1), asyncio.Event())
        running.close()
    finally:
        netns.remove(place)
    assert away.statuses == {200: 5} and not away.lost
    assert here.lost == {"ConnectionRefusedError": 5}
    assert os.readlink("/proc/thread-self/ns/net") == home


def _listen() -> socket.socket:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return socket.create_server(("127.0.0.1", 0))


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float = 0.0, code: int = 200
) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(delay)
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % code)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
