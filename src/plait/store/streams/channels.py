"""exec and attach: a client's channels joined to the kubelet's. WebSocket v4/v5 channels, or one SPDY stream each.

Channels: 0 stdin, 1 stdout, 2 stderr, 3 error (the exit as a Status), 4 resize, 255 close of the channel that follows.
"""

from __future__ import annotations

import asyncio

import aiohttp
import orjson
from aiohttp import web

from plait.base import aio
from plait.store.streams import wires
from plait.store.streams.spdy import Data, Opened, Reset, Session

_STDIN, _ERROR, _RESIZE, _CLOSE = 0, 3, 4, 255
_NUMBERS = {"stdin": _STDIN, "stdout": 1, "stderr": 2, "error": _ERROR, "resize": _RESIZE}
_SOCKETS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_SPDY = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
Inner = aiohttp.ClientWebSocketResponse


async def serve(request: web.Request, inner: Inner, flags: dict[str, bool]) -> web.StreamResponse:
    """Serve one exec or attach until its process ends or the client leaves."""
    if request.headers.get("Upgrade", "").lower() == "spdy/3.1":
        return await _spdy(request, inner, flags)
    if request.headers.get("Upgrade", "").lower() != "websocket":
        return web.Response(status=400, text="upgrade to WebSocket or SPDY/3.1 is required")
    outer = web.WebSocketResponse(protocols=_SOCKETS, max_msg_size=0)
    await outer.prepare(request)
    up = aio.spawn(_from_socket(outer, inner), "exec stdin")
    try:
        async for message in inner:
            if message.type == aiohttp.WSMsgType.BINARY and message.data[:1] != b"\xff":
                await outer.send_bytes(message.data)
    except ConnectionError:
        pass
    finally:
        await aio.cancel(up)
        await outer.close()
    return outer


async def _from_socket(outer: web.WebSocketResponse, inner: Inner) -> None:
    async for message in outer:
        if message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
            data = message.data if isinstance(message.data, bytes) else message.data.encode()
            await inner.send_bytes(data)
    await inner.close()  # the client left


async def _spdy(request: web.Request, inner: Inner, flags: dict[str, bool]) -> web.StreamResponse:
    offered = [
        each.strip() for line in request.headers.getall("X-Stream-Protocol-Version", []) for each in line.split(",")
    ]
    version = next((each for each in _SPDY if each in offered), None)
    if offered and version is None:
        return web.Response(status=403, text=f"none of the stream protocols {offered} is served here")
    carrier, answer = await wires.take(request, {"X-Stream-Protocol-Version": version} if version else {})
    wanted = {"error", *(name for name in ("stdin", "stdout") if flags[name])}
    if flags["stderr"] and not flags["tty"]:
        wanted.add("stderr")
    pump = _Pump(carrier, inner, wanted, coded=version == _SPDY[0])
    up = aio.spawn(pump.upwards(), "exec spdy")
    try:
        await pump.downwards()
    except ConnectionError:
        pass
    finally:
        await aio.cancel(up)
        await carrier.close()
    return answer


class _Pump:
    """Streams of one SPDY session <-> channels of the kubelet's socket."""

    def __init__(self, carrier: wires.Carrier, inner: Inner, wanted: set[str], *, coded: bool) -> None:
        self._carrier, self._inner, self._wanted, self._coded = carrier, inner, wanted, coded
        self._session = Session()
        self._streams: dict[int, int] = {}  # channel -> SPDY stream
        self._ready = asyncio.Event()

    async def upwards(self) -> None:
        channel_of: dict[int, int] = {}
        try:
            while data := await self._carrier.read():
                for event in self._session.feed(data):
                    if isinstance(event, Opened):
                        name = event.headers.get("streamtype", "")
                        if name in _NUMBERS:
                            channel_of[event.stream] = _NUMBERS[name]
                            self._streams[_NUMBERS[name]] = event.stream
                            self._wanted.discard(name)
                        self._session.accept(event.stream)
                    elif isinstance(event, Reset):
                        if event.stream == 0:
                            return
                    elif isinstance(event, Data) and (channel := channel_of.get(event.stream)) is not None:
                        if event.data:
                            await self._inner.send_bytes(bytes([channel]) + event.data)
                        if event.finished and channel == _STDIN:
                            await self._inner.send_bytes(bytes([_CLOSE, channel]))
                await self._flush()
                if not self._wanted:
                    self._ready.set()
        except (ValueError, ConnectionError):
            pass
        finally:
            self._ready.set()
            await self._inner.close()

    async def _flush(self) -> None:
        if data := self._session.taken():
            await self._carrier.write(data)

    async def downwards(self) -> None:
        await self._ready.wait()
        async for message in self._inner:
            if message.type != aiohttp.WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel == _ERROR and not self._coded:
                data = _plain(data)
            if channel in self._streams:
                self._session.send(self._streams[channel], data)
                await self._flush()
        for channel in (1, 2, _ERROR):
            if channel in self._streams:
                self._session.send(self._streams[channel], b"", finished=True)
        await self._flush()


def _plain(status: bytes) -> bytes:
    """Before v4 the error stream carried text: nothing on success, else the message."""
    found = orjson.loads(status)
    return b"" if found.get("status") == "Success" else str(found.get("message", "")).encode()
