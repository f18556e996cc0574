"""A program that speaks many protocols, a port each; it runs in a pod. Clients of them are in `protocol_client`.

Everything is answered with what arrived, so that a client can say what the way between has done to it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import grpc
from aiohttp import web
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded

from kit import calls
from kit.pki import Authority

HTTP, HTTP2, GRPC, WEBSOCKET, GREETING, TLS, UNDECLARED, REDIS = range(8001, 8009)
BANNER = b"220 mail.example ready\r\n"
SERVICE = "test.Echo"


# HTTP/1.1, by hand: what libraries hide is what is tested ---


async def http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers in chunks with a trailer; says which trailers came with the request."""
    while head := await reader.readline():
        headers = await _fields(reader)
        if headers.get("expect") == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, trailers = await _body(reader, headers)
        said = json.dumps({"head": head.decode().strip(), "headers": headers, "body": body, "trailers": trailers})
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n"
            b"trailer: x-checksum\r\n\r\n" + f"{len(said):x}\r\n{said}\r\n0\r\nx-checksum: {len(said)}\r\n\r\n".encode()
        )
        await writer.drain()
    writer.close()


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
    if headers.get("transfer-encoding") != "chunked":
        return (await reader.readexactly(int(headers.get("content-length", "0")))).decode(), {}
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    return body.decode(), await _fields(reader)


async def _fields(reader: asyncio.StreamReader) -> dict[str, str]:
    found = {}
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode().partition(":")
        found[name.lower()] = value.strip()
    return found


# The others ---


async def http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Prior knowledge only: who says HTTP/1.1 here gets no answer."""
    connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    connection.initiate_connection()
    asked: dict[int, dict[str, str]] = {}
    writer.write(connection.data_to_send())
    while data := await reader.read(65536):
        for event in connection.receive_data(data):
            if isinstance(event, RequestReceived) and event.stream_id is not None:
                asked[event.stream_id] = dict(event.headers or ())
            elif isinstance(event, StreamEnded) and event.stream_id is not None:
                body = json.dumps({"protocol": "h2", "path": asked.pop(event.stream_id)[":path"]}).encode()
                connection.send_headers(event.stream_id, [(":status", "200")])
                connection.send_data(event.stream_id, body)
                connection.send_headers(event.stream_id, [("x-checksum", str(len(body)))], end_stream=True)
        writer.write(connection.data_to_send())
        await writer.drain()
    writer.close()


class Echo(grpc.GenericRpcHandler):
    """Unary and streaming calls of bytes; no generated code."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        match details.method:
            case "/test.Echo/Unary":
                return grpc.unary_unary_rpc_method_handler(self._unary)
            case "/test.Echo/Down":
                return grpc.unary_stream_rpc_method_handler(self._down)
            case "/test.Echo/Up":
                return grpc.stream_unary_rpc_method_handler(self._up)
            case "/test.Echo/Both":
                return grpc.stream_stream_rpc_method_handler(self._both)
        return None

    async def _unary(self, message: bytes, context: grpc.aio.ServicerContext) -> bytes:
        if message == b"fail":
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked")
        return b"unary " + message

    async def _down(self, message: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%s %d" % (message, number)

    async def _up(self, messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> bytes:
        return b" ".join([each async for each in messages])

    async def _both(self, messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        async for each in messages:
            yield b"heard " + each


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def websocket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(f"heard {message.data}")
    return socket


async def greeting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The server speaks first, as those of SMTP and MySQL do."""
    writer.write(BANNER)
    while line := await reader.readline():
        writer.write(b"250 " + line)
    writer.close()


async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(b"in TLS: " + line)
    writer.close()


def own_certificate() -> ssl.SSLContext:
    """The application's own: whoever ends TLS before it would need another."""
    leaf = Authority("the application's own").issue("spiffe://elsewhere/application")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(leaf.certificate + leaf.key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def serve(ports: Iterable[tuple[Handler, int]]) -> None:
    redis = calls.Redis()
    threading.Thread(target=calls.forever, args=(redis, "0.0.0.0", REDIS), daemon=True).start()
    for handler, port in ports:
        await asyncio.start_server(handler, "", port)
    await asyncio.start_server(plain, "", TLS, ssl=own_certificate())
    application = web.Application()
    application.router.add_get("/", websocket)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=WEBSOCKET).start()
    rpc = grpc.aio.server()
    rpc.add_generic_rpc_handlers((Echo(),))
    rpc.add_insecure_port(f"0.0.0.0:{GRPC}")
    await rpc.start()
    await rpc.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(((http1, HTTP), (http2, HTTP2), (greeting, GREETING), (greeting, UNDECLARED))))
