"""DNS over sockets: a server on one UDP and one TCP socket, and questions put to another server.

Sockets are made by whoever calls, so they may be in any network namespace. What is answered is a function's business.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from plait.base import aio

_IDLE: Final = 10.0  # seconds for a TCP client to say something
_MOST: Final = 512  # questions of one server's clients that are being answered at a time; more are not heard


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: the message, who asks, and the client's connection where it came by TCP."""

    message: bytes
    client: tuple[str, int]
    connection: socket.socket | None = None

    @property
    def tcp(self) -> bool:
        return self.connection is not None


Answer = Callable[[Asked], Awaitable[bytes]]
"""The reply; b"" for none."""


class Server:
    """Serves until `close`. It owns both sockets; the TCP one listens already."""

    def __init__(self, answer: Answer, datagrams: socket.socket, stream: socket.socket) -> None:
        self._answer, self._sockets = answer, (datagrams, stream)
        self._talks: set[asyncio.Task[Any]] = set()
        self._transport: asyncio.DatagramTransport | None = None
        self._listening: asyncio.Server | None = None

    async def start(self) -> None:
        datagrams, stream = self._sockets
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self._heard), sock=datagrams)
        self._listening = await asyncio.start_server(self._accept, sock=stream)

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
        if self._transport is not None:
            self._transport.close()
        for each in self._sockets:
            each.close()
        await aio.cancel(*self._talks)

    def _heard(self, data: bytes, client: tuple[str, int]) -> None:
        if len(self._talks) < _MOST:
            self._talk(self._datagram(Asked(data, client)), "dns query")

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._talks) < _MOST:
            self._talk(self._connection(reader, writer), "dns connection")
        else:
            writer.close()

    def _talk(self, work: Any, name: str) -> None:
        self._talks.add(task := aio.spawn(work, name))
        task.add_done_callback(self._talks.discard)

    async def _datagram(self, asked: Asked) -> None:
        reply = await self._answer(asked)
        if reply and self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(reply, asked.client)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection, client = writer.get_extra_info("socket"), writer.get_extra_info("peername")
        try:
            while True:
                async with asyncio.timeout(_IDLE):
                    message = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                reply = await self._answer(Asked(message, client[:2], connection))
                if not reply:
                    return
                writer.write(len(reply).to_bytes(2) + reply)
                await writer.drain()
        except (OSError, TimeoutError, EOFError):
            return  # the client left
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, heard: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._heard(data, addr[:2])


class _Question(asyncio.DatagramProtocol):
    def __init__(self, message: bytes) -> None:
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._number = message[:2]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data[:2] == self._number and not self.reply.done():
            self.reply.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(exc)


async def ask_udp(asking: socket.socket, server: tuple[str, int], message: bytes) -> bytes:
    """Put one question over this socket, which is closed afterwards. Nobody else's datagrams are heard on it."""
    asking.setblocking(False)
    try:
        asking.connect(server)
        loop = asyncio.get_running_loop()
        transport, question = await loop.create_datagram_endpoint(lambda: _Question(message), sock=asking)
    except BaseException:
        asking.close()
        raise
    try:
        transport.sendto(message)
        return await question.reply
    finally:
        transport.close()


async def ask_tcp(asking: socket.socket, server: tuple[str, int], message: bytes) -> bytes:
    """The same over TCP."""
    asking.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(asking, server)
        reader, writer = await asyncio.open_connection(sock=asking)
    except BaseException:
        asking.close()
        raise
    try:
        writer.write(len(message).to_bytes(2) + message)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
    finally:
        writer.close()


def sockets(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """The two sockets of a `Server`, in the calling thread's network namespace."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    datagrams, stream = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_STREAM)
    try:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for each in (datagrams, stream):
            each.setblocking(False)
            each.bind((address, port))
        stream.listen(128)
    except BaseException:
        datagrams.close()
        stream.close()
        raise
    return datagrams, stream
