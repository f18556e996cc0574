"""What carries a client's streams: a raw SPDY connection, or SPDY inside WebSocket messages; and the kubelet's socket.

Gives SPDY carriers one face (read, write, close). What the streams mean is in channels.py and forwards.py.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

import aiohttp
from aiohttp import web


class KubeletGone(Exception):
    """The kubelet's socket does not answer."""


def kubelet(socket: Path) -> aiohttp.ClientSession:
    """A session on a kubelet's unix socket; streams have no time limit."""
    connector = aiohttp.UnixConnector(path=str(socket))
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))


class Carrier(Protocol):
    async def read(self) -> bytes:
        """The next bytes; b"" at the end."""
        ...

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


class _Taken(asyncio.Protocol):
    """Takes the connection over from the HTTP parser."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.queue.put_nowait(data)
        return False, b""

    def feed_eof(self) -> None:
        self.queue.put_nowait(b"")

    def set_exception(self, error: BaseException, cause: BaseException | None = None) -> None:
        self.queue.put_nowait(b"")


class Raw:
    """A hijacked HTTP connection after `101 Switching Protocols`."""

    def __init__(self, request: web.Request, parser: _Taken) -> None:
        self._request, self._parser = request, parser

    async def read(self) -> bytes:
        return await self._parser.queue.get()

    async def write(self, data: bytes) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionError("the client is gone")
        transport.write(data)
        await self._request.protocol._drain_helper()

    async def close(self) -> None:
        if (transport := self._request.transport) is not None:
            transport.close()


class _Switched(web.StreamResponse):
    """`101` for an upgrade aiohttp has no class for."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__(status=101, headers=headers)
        self._length_check = False


async def take(request: web.Request, headers: dict[str, str]) -> tuple[Raw, web.StreamResponse]:
    """Answer 101 with these headers and take the connection over."""
    answer = _Switched({"Connection": "Upgrade", "Upgrade": "SPDY/3.1", **headers})
    await answer.prepare(request)
    parser = _Taken()
    request.protocol.set_parser(parser)  # type: ignore[arg-type]  # it only needs the two feed methods
    request.protocol.keep_alive(False)
    return Raw(request, parser), answer


class Tunnel:
    """SPDY in binary WebSocket messages."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        while True:
            message = await self._socket.receive()
            if message.type != aiohttp.WSMsgType.BINARY:
                return b""
            if message.data:  # kubectl writes the empty body of a closing frame as an empty message
                return bytes(message.data)

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)

    async def close(self) -> None:
        await self._socket.close()
