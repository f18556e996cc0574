"""Connections to a waypoint that sleeps: held, woken for, carried; closed when nobody comes up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from plait.app import activator as module
from plait.app.activator import Activator, header

SHOP = ("shop", "waypoint")


def test_the_header_names_both_ends() -> None:
    said = header(("10.0.0.4", 4660), ("10.0.0.9", 15008))
    assert said == b"\r\n\r\n\0\r\nQUIT\n" + bytes.fromhex("21 11 000c 0a000004 0a000009 1234 3aa0")
    six = header(("fd00::1", 1), ("fd00::2", 2))
    assert six[12:16] == bytes.fromhex("21 21 0024")
    assert len(six) == 16 + 36


class World:
    """A waypoint at a port of this machine, which may be up or not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        monkeypatch.setattr(module, "HELD_PORT", self.port)
        self.woken, self.heard, self.addresses = 0, b"", ["127.0.0.1"]
        self.server: asyncio.Server | None = None
        self.activator = Activator("127.0.0.1", self._wake, lambda key: self.addresses)

    def _wake(self, key: tuple[str, str]) -> None:
        assert key == SHOP
        self.woken += 1

    async def come(self) -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.heard += await reader.read(28)
            while data := await reader.read(100):
                writer.write(data.upper())
            writer.close()

        self.server = await asyncio.start_server(echo, "127.0.0.1", self.port)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        try:
            yield await self.activator.port(SHOP)
        finally:
            await self.activator.close()
            if self.server is not None:
                self.server.close()


async def test_who_calls_waits_until_the_waypoint_is_up_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    async with world.running() as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"first")
        while world.woken < 3:
            await asyncio.sleep(0.005)
        assert world.activator.busy(SHOP) == 1
        await world.come()
        assert await reader.readexactly(5) == b"FIRST"
        assert world.activator.busy(SHOP) == 0
        writer.write(b"second")
        writer.write_eof()
        assert await reader.read() == b"SECOND", (
            "the end of one side is told to the other, and what comes back still comes"
        )
        own = writer.get_extra_info("sockname")
        assert world.heard == header(own, ("127.0.0.1", 15008)), "the client's own address"


async def test_a_pod_that_accepts_nothing_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.addresses = ["127.0.0.2", "127.0.0.1"]
    await world.come()
    async with world.running() as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"A"


async def test_who_waited_too_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOLD", 0.05)
    world = World(monkeypatch)
    async with world.running() as port, asyncio.timeout(10):
        reader, _ = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""


async def test_more_than_are_held_are_closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    world = World(monkeypatch)
    async with world.running() as port, asyncio.timeout(10):
        await asyncio.open_connection("127.0.0.1", port)
        while not world.activator.busy(SHOP):
            await asyncio.sleep(0.005)
        reader, _ = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""


async def test_a_door_keeps_its_port_and_a_forgotten_one_is_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    async with world.running() as port:
        assert await world.activator.port(SHOP) == port
        world.activator.forget(SHOP)
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)
        assert await world.activator.port(SHOP) == port, "and has it again"
