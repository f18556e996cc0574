"""Clients of `protocol_server`, one a word: `protocol_client WORD HOST PORT` prints as JSON what came back."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import sys
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import grpc
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, TrailersReceived

from kit import calls

_PATIENCE = 15


def _connect(host: str, port: int) -> socket.socket:
    return socket.create_connection((host, port), _PATIENCE)


def _until(connection: socket.socket, mark: bytes) -> bytes:
    found = b""
    while mark not in found:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError(f"ended after {found!r}")
        found += more
    return found


def _answer(connection: socket.socket) -> tuple[str, Any, str]:
    """Status, body and trailers of an answer in one chunk."""
    text = _until(connection, b"\r\n0\r\n").decode()
    head, _, rest = text.partition("\r\n\r\n")
    size, _, body = rest.partition("\r\n")
    trailers = body.partition("\r\n0\r\n")[2]
    while not trailers.endswith("\r\n"):
        trailers += connection.recv(65536).decode()
    return head.split()[1], json.loads(body[: int(size, 16)]), trailers


def http1(host: str, port: int) -> Any:
    """A request in chunks with a trailer: what the server got, and the trailer of its answer."""
    with _connect(host, port) as connection:
        connection.sendall(
            b"POST /trailers HTTP/1.1\r\nhost: server\r\nte: trailers\r\ntransfer-encoding: chunked\r\n"
            b"trailer: x-sent\r\n\r\n5\r\nhello\r\n0\r\nx-sent: yes\r\n\r\n"
        )
        status, said, trailers = _answer(connection)
    told = "x-checksum" in trailers
    return {"status": status, "body": said["body"], "sent": said["trailers"].get("x-sent"), "told": told}


def expect(host: str, port: int) -> Any:
    """The body follows only after 100."""
    with _connect(host, port) as connection:
        connection.sendall(b"POST /big HTTP/1.1\r\nhost: server\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        first = _until(connection, b"\r\n\r\n").split()[1].decode()
        connection.sendall(b"hello")
        status, said, _ = _answer(connection)
    return {"first": first, "status": status, "body": said["body"]}


def http2(host: str, port: int) -> Any:
    """Prior knowledge; two streams at once on one connection, and their trailers."""
    connection = H2Connection()
    connection.initiate_connection()
    bodies: dict[int, bytes] = {}
    seen: dict[str, Any] = {"statuses": [], "trailers": 0}
    ended = 0
    with _connect(host, port) as wire:
        for stream, path in ((1, "/one"), (3, "/two")):
            head = [(":method", "GET"), (":path", path), (":scheme", "http"), (":authority", "server")]
            connection.send_headers(stream, [*head, ("te", "trailers")], end_stream=True)
        wire.sendall(connection.data_to_send())
        while ended < 2:
            data = wire.recv(65536)
            if not data:
                raise ConnectionError(f"ended after {seen}")
            for event in connection.receive_data(data):
                if isinstance(event, ResponseReceived):
                    seen["statuses"].append(dict(event.headers or ())[b":status"].decode())
                elif isinstance(event, DataReceived) and event.stream_id is not None:
                    bodies[event.stream_id] = bodies.get(event.stream_id, b"") + (event.data or b"")
                elif isinstance(event, TrailersReceived):
                    seen["trailers"] += 1
                elif isinstance(event, StreamEnded):
                    ended += 1
            wire.sendall(connection.data_to_send())
    return {**seen, "paths": sorted(json.loads(body)["path"] for body in bodies.values())}


def grpc_calls(host: str, port: int) -> Any:
    """Each kind of call, and a call that fails with a status of the application's."""
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        unary = channel.unary_unary("/test.Echo/Unary")
        found: dict[str, Any] = {
            "unary": unary(b"hello", timeout=_PATIENCE).decode(),
            "down": [each.decode() for each in channel.unary_stream("/test.Echo/Down")(b"n", timeout=_PATIENCE)],
            "up": channel.stream_unary("/test.Echo/Up")(iter((b"a", b"b", b"c")), timeout=_PATIENCE).decode(),
            "both": _conversation(channel),
        }
        try:
            unary(b"fail", timeout=_PATIENCE)
        except grpc.RpcError as error:
            assert isinstance(error, grpc.Call)
            found["failed"] = [error.code().name, error.details()]
    return found


def _conversation(channel: grpc.Channel) -> list[str]:
    """Says the next word only when the last was answered: nothing on the way may wait for the end."""
    heard: list[str] = []

    def words() -> Any:
        for number in range(3):
            ends = time.monotonic() + _PATIENCE
            while len(heard) < number and time.monotonic() < ends:
                time.sleep(0.01)
            yield b"word %d" % number

    for each in channel.stream_stream("/test.Echo/Both")(words(), timeout=_PATIENCE):
        heard.append(each.decode())
    return heard


def grpc_web(host: str, port: int) -> Any:
    """As a browser calls: HTTP/1.1, text form; message and status come in one body."""
    message = b"\x00" + len(b"hello").to_bytes(4, "big") + b"hello"
    body = base64.b64encode(message)
    with _connect(host, port) as connection:
        head = (
            "POST /test.Echo/Unary HTTP/1.1\r\nhost: server\r\ncontent-type: application/grpc-web-text\r\n"
            f"accept: application/grpc-web-text\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, rest = answer.decode().partition("\r\n\r\n")
    lines = rest.split("\r\n")
    chunks = [line for line in lines[1::2] if line] if "transfer-encoding: chunked" in head.lower() else [rest]
    decoded = b"".join(base64.b64decode(chunk) for chunk in chunks)
    return {"status": head.split()[1], "message": "unary hello" in decoded.decode(errors="replace"),
            "trailers": b"grpc-status:0" in decoded.replace(b" ", b"")}  # fmt: skip


def websocket(host: str, port: int) -> Any:
    async def talk() -> list[str]:
        timeout = aiohttp.ClientWSTimeout(ws_receive=_PATIENCE)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://{host}:{port}/", timeout=timeout) as s,
        ):
            found = []
            for word in ("one", "two"):
                await s.send_str(word)
                found.append(await s.receive_str())
            return found

    return asyncio.run(talk())


def greeting(host: str, port: int) -> Any:
    """Waits for the server's first words before it says any."""
    with _connect(host, port) as connection:
        first = _until(connection, b"\r\n").decode().strip()
        connection.sendall(b"HELO\r\n")
        return [first, _until(connection, b"\r\n").decode().strip()]


def redis(host: str, port: int) -> Any:
    """A value set and got on one connection."""
    with _connect(host, port) as connection:
        connection.sendall(calls.command("SET", "colour", "blue"))
        first = _until(connection, b"\r\n").decode().strip()
        connection.sendall(calls.command("GET", "colour"))
        return [first, _until(connection, b"blue\r\n").decode().split()[-1]]


def tls(host: str, port: int) -> Any:
    """Whose certificate is it? And do bytes pass."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(_connect(host, port), server_hostname="server.example") as secure:
        secure.sendall(b"hello\n")
        answer = _until(secure, b"\n").decode().strip()
        certificate = secure.getpeercert(binary_form=True) or b""
    return {"answer": answer, "own": b"spiffe://elsewhere/application" in certificate}


WORDS: dict[str, Callable[[str, int], Any]] = {
    "http1": http1,
    "expect": expect,
    "http2": http2,
    "grpc": grpc_calls,
    "grpc-web": grpc_web,
    "websocket": websocket,
    "greeting": greeting,
    "redis": redis,
    "tls": tls,
}

if __name__ == "__main__":
    print(json.dumps(WORDS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))))
