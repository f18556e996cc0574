"""Tiny servers of protocols that are neither HTTP nor mere bytes, and what one call of each looks like on the wire."""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

Server = Callable[[BinaryIO, BinaryIO], None]


def _server(serve: Server, host: str, port: int) -> socketserver.ThreadingTCPServer:
    """Every connection in a thread of its own."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            serve(self.rfile, self.wfile)

    class Threaded(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True

    return Threaded((host, port), Handler)


def forever(serve: Server, host: str, port: int) -> None:
    with _server(serve, host, port) as server:
        server.serve_forever()


@contextmanager
def served(serve: Server, address: str = "127.0.0.1") -> Iterator[int]:
    """On loopback, until the block ends."""
    with _server(serve, address, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


# Redis ---


def command(*words: str) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)


class Redis:
    """SET, GET and DBSIZE; whatever else is an error, as it is to a Redis."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}

    def __call__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        while line := reader.readline():
            words = [reader.read(int(reader.readline()[1:]) + 2)[:-2].decode() for _ in range(int(line[1:]))]
            writer.write(self.answer(*words))

    def answer(self, name: str, *arguments: str) -> bytes:
        match name.upper(), arguments:
            case "SET", (key, value):
                self.held[key] = value
                return b"+OK\r\n"
            case "GET", (key,):
                found = self.held.get(key)
                return b"$-1\r\n" if found is None else b"$%d\r\n%s\r\n" % (len(found), found.encode())
            case _:
                return b"-ERR unknown command '%s'\r\n" % name.encode()


# Thrift: framed, binary ---


def thrift_call(method: str, kind: int = 1) -> bytes:
    """A message without arguments; kind 1 calls, 2 answers."""
    name = method.encode()
    body = struct.pack(">HBBI", 0x8001, 0, kind, len(name)) + name + struct.pack(">I", 7) + b"\x00"
    return struct.pack(">I", len(body)) + body


def thrift(reader: BinaryIO, writer: BinaryIO) -> None:
    while size := reader.read(4):
        body = reader.read(struct.unpack(">I", size)[0])
        length = struct.unpack(">I", body[4:8])[0]
        writer.write(thrift_call(body[8 : 8 + length].decode(), 2))


# Dubbo: Hessian 2 strings under 32 bytes are their length and themselves ---


def dubbo_call(interface: str, method: str) -> bytes:
    words = ("2.0.2", interface, "0.0.0", method, "")
    body = b"".join(_string(word) for word in words) + b"H" + _string("path") + _string(interface) + b"Z"
    return struct.pack(">HBBqI", 0xDABB, 0xC2, 0, 9, len(body)) + body


def dubbo_answer() -> bytes:
    body = b"\x91" + _string("well")  # a value, no attachments
    return struct.pack(">HBBqI", 0xDABB, 0x02, 20, 9, len(body)) + body


def _string(text: str) -> bytes:
    data = text.encode()
    if len(data) < 32:
        return bytes([len(data)]) + data
    return bytes([0x30 + (len(data) >> 8), len(data) & 0xFF]) + data


def dubbo(reader: BinaryIO, writer: BinaryIO) -> None:
    while head := reader.read(16):
        reader.read(struct.unpack(">I", head[12:16])[0])
        writer.write(dubbo_answer())


# Mongo ---


def mongo_query(collection: str) -> bytes:
    """OP_QUERY for one document."""
    body = struct.pack("<I", 0) + collection.encode() + b"\x00" + struct.pack("<ii", 0, 1) + b"\x05\x00\x00\x00\x00"
    return struct.pack("<iiii", 16 + len(body), 1, 0, 2004) + body


def mongo_reply() -> bytes:
    body = struct.pack("<iqii", 0, 0, 0, 1) + b"\x05\x00\x00\x00\x00"
    return struct.pack("<iiii", 16 + len(body), 2, 1, 1) + body


def mongo(reader: BinaryIO, writer: BinaryIO) -> None:
    while size := reader.read(4):
        reader.read(struct.unpack("<i", size)[0] - 4)
        writer.write(mongo_reply())
