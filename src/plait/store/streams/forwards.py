"""port-forward: pairs of SPDY streams (error, data) of a client, each pair one TCP connection made by the kubelet.

SPDY comes on the raw connection or tunnelled in WebSocket messages; both are the same from here on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from plait.base import aio
from plait.store.streams import wires
from plait.store.streams.spdy import Data, Opened, Session

_VERSION, _TUNNEL = "portforward.k8s.io", "SPDY/3.1+portforward.k8s.io"
Document = dict[str, Any]


async def serve(request: web.Request, socket: Path, metadata: Document) -> web.StreamResponse:
    """Serve one port-forward session until the client leaves."""
    upgrade = request.headers.get("Upgrade", "").lower()
    path = f"http://kubelet/portforward/{metadata['namespace']}/{metadata['name']}"
    if upgrade == "websocket":
        outer = web.WebSocketResponse(protocols=(_TUNNEL,), max_msg_size=0)
        await outer.prepare(request)
        await _Forward(wires.Tunnel(outer), socket, path).run()
        return outer
    if upgrade != "spdy/3.1":
        return web.Response(status=400, text="upgrade to WebSocket or SPDY/3.1 is required")
    carrier, answer = await wires.take(request, {"X-Stream-Protocol-Version": _VERSION})
    await _Forward(carrier, socket, path).run()
    return answer


class _Forward:
    def __init__(self, carrier: wires.Carrier, socket: Path, path: str) -> None:
        self._carrier, self._path = carrier, path
        self._session = Session()
        self._kubelet = wires.kubelet(socket)
        self._errors: dict[str, int] = {}  # request id -> error stream
        self._inner: dict[int, aiohttp.ClientWebSocketResponse] = {}  # data stream -> connection
        self._tasks: list[Any] = []

    async def run(self) -> None:
        try:
            while data := await self._carrier.read():
                for event in self._session.feed(data):
                    if isinstance(event, Opened):
                        await self._opened(event)
                    elif isinstance(event, Data) and (inner := self._inner.get(event.stream)) is not None:
                        if event.data:
                            await inner.send_bytes(event.data)
                        if event.finished:
                            await inner.send_str("eof")
                await self._flush()
        except (ValueError, ConnectionError):
            pass
        finally:
            await aio.cancel(*self._tasks)
            await self._kubelet.close()
            await self._carrier.close()

    async def _flush(self) -> None:
        if data := self._session.taken():
            await self._carrier.write(data)

    async def _opened(self, event: Opened) -> None:
        request, port = event.headers.get("requestid", ""), event.headers.get("port", "")
        self._session.accept(event.stream)
        if event.headers.get("streamtype") == "error":
            self._errors[request] = event.stream
            return
        try:
            inner = await self._kubelet.ws_connect(self._path, params={"port": port}, max_msg_size=0)
        except (aiohttp.ClientError, OSError) as error:
            if request in self._errors:
                text = f"cannot reach port {port} of the pod: {error}".encode()
                self._session.send(self._errors[request], text, finished=True)
            self._session.send(event.stream, b"", finished=True)
            return
        self._inner[event.stream] = inner
        self._tasks.append(aio.spawn(self._back(event.stream, request, inner), "port-forward"))

    async def _back(self, stream: int, request: str, inner: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for message in inner:
                if message.type == aiohttp.WSMsgType.BINARY:
                    self._session.send(stream, message.data)
                    await self._flush()
            self._session.send(stream, b"", finished=True)
            if request in self._errors:
                self._session.send(self._errors.pop(request), b"", finished=True)
            await self._flush()
        except ConnectionError:
            pass
        finally:
            self._inner.pop(stream, None)
