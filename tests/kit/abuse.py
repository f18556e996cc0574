"""What somebody sends who means to harm an HTTP server: requests of two readings, floods of frames, heads without end.

And the other side of it: a server that reads strictly and keeps what it was sent, and a bystander who only wants his
answers.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

import h2.config
import h2.connection
import h2.events
import h2.exceptions

HONEST = b"GET /open/page HTTP/1.1\r\nhost: shop.example\r\n\r\n"
SMUGGLED = b"GET /open/admin?smuggled HTTP/1.1\r\nhost: shop.example\r\n\r\n"
"""What no proxy may let through: its policy denies the path."""


class Stream(Protocol):
    """A connection as the abuser has it, in clear or inside a tunnel."""

    def sendall(self, data: bytes, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...
    def settimeout(self, seconds: float | None, /) -> None: ...
    def close(self) -> None: ...


Opening = Callable[[], Stream]


# The server ---


@dataclass
class Recorder:
    """Reads HTTP/1.1 to the letter. `wrong` is what another server could have read in another way."""

    targets: list[bytes] = field(default_factory=list)
    wrong: list[bytes] = field(default_factory=list)

    def __call__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        while (head := self._head(reader)) and not head.startswith(b"PRI "):  # a sidecar speaks HTTP/2 as it heard it
            self.targets.append(head.split(b"\r\n", 1)[0])
            if not self._body(head, reader):
                return
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    def _head(self, reader: BinaryIO) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = reader.readline()
            if not line:
                return b""
            head += line
        odd = not head.startswith(b"PRI ") and (
            re.search(rb"[^\r]\n|\r[^\n]|\0|\n[ \t]", head) or not re.match(rb"[A-Z-]+ [^ ]+ HTTP/1\.1\r\n", head)
        )
        if odd:
            self.wrong.append(head)
        return head

    def _body(self, head: bytes, reader: BinaryIO) -> bool:
        lengths = re.findall(rb"(?i)\r\ncontent-length:([^\r]*)", head)
        codings = re.findall(rb"(?i)\r\ntransfer-encoding:([^\r]*)", head)
        if len(lengths) + len(codings) > 1 or any(each.strip().lower() != b"chunked" for each in codings):
            self.wrong.append(head)
            return False
        if lengths:
            reader.read(int(lengths[0]))
        while codings:
            line = reader.readline()
            if not line or not reader.read(int(line, 16) + 2):
                return False  # the client ended, and with it the request
            if not int(line, 16):
                break
        return True


# Two readings ---

_CODINGS = (
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked;q=1",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"Transfer_Encoding: chunked",
    b"Transfer-Encoding\0: chunked",
    b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked",
    b" Transfer-Encoding: chunked",
)
_LENGTHS = (b"+%d", b"-%d", b"%d, %d", b"%dx", b"0x%x", b"0%d", b"%d\r\nContent-Length: 0", b"0\r\nContent-Length: %d")
_CHUNKS = (
    b"0 \r\n\r\n",
    b"0;a=\n\r\n\r\n",
    b"0\n\n",
    b"00000000000000000\r\n\r\n",
    b"ffffffffffffffff1\r\n\r\n",
    b"-0\r\n\r\n",
    b"0x0\r\n\r\n",
    b"\r\n0\r\n\r\n",
    b"1\r\nZ0\r\n\r\n",
)


def ambiguous() -> Iterator[bytes]:
    """HTTP/1.1 requests whose end is a matter of opinion, with one behind it that nobody may see."""
    start = b"POST /open/page HTTP/1.1\r\nHost: shop.example\r\n"
    behind = b"0\r\n\r\n" + SMUGGLED
    for coding in _CODINGS:
        yield start + coding + b"\r\n\r\n" + behind
        for length in (len(behind), 5, 0):
            said = b"Content-Length: %d" % length
            yield start + said + b"\r\n" + coding + b"\r\n\r\n" + behind
            yield start + coding + b"\r\n" + said + b"\r\n\r\n" + behind
    for form in _LENGTHS:
        said = form % ((len(SMUGGLED),) * form.count(b"%"))
        yield start + b"Content-Length: " + said + b"\r\n\r\n" + SMUGGLED
    for chunk in _CHUNKS:
        yield start + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + SMUGGLED
    for method in (b"GET", b"HEAD", b"OPTIONS", b"CONNECT"):
        yield start.replace(b"POST", method) + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED
    for more in (b"Connection: close, content-length", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c"):
        yield start + more + b"\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED
    yield start.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + behind
    yield start.replace(b"1.1\r\n", b"1.1\n") + b"\r\n" + SMUGGLED


Fields = list[tuple[bytes, bytes]]


def _fields(**changed: bytes) -> Fields:
    usual = {"method": b"POST", "scheme": b"http", "authority": b"shop.example", "path": b"/open/page"}
    return [(b":" + name.encode(), value) for name, value in {**usual, **changed}.items()]


def translated() -> Iterator[tuple[Fields, bytes]]:
    """HTTP/2 requests (fields and body) that would be more than one if they were written down as HTTP/1.1 unread."""
    lines = b"\r\n\r\n" + SMUGGLED
    body = b"0\r\n\r\n" + SMUGGLED
    for length in (b"0", b"5", b"%d" % (len(body) + 5), b"+5", b"5, 5"):
        yield [*_fields(), (b"content-length", length)], body
    for coding in (b"chunked", b"identity", b"x"):
        yield [*_fields(), (b"transfer-encoding", coding)], body
    for name in (b"connection", b"upgrade", b"keep-alive", b"proxy-connection"):
        yield [*_fields(), (name, b"transfer-encoding")], body
    for end in (lines, lines.replace(b"\r", b""), b"\0" + SMUGGLED, b"\r" + SMUGGLED):
        yield [*_fields(), (b"x", b"y" + end)], b""
        yield [*_fields(), (b"x: y" + end, b"z")], b""
    for name, value in (("method", b"GET "), ("path", b"/open/page HTTP/1.1"), ("authority", b"shop.example")):
        yield _fields(**{name: value + lines}), b""
        yield _fields(**{name: value + b" " + SMUGGLED}), b""
    yield _fields(scheme=b"http://shop.example/open/admin?smuggled#"), b""
    yield [*_fields(), (b":path", b"/open/admin?smuggled")], b""
    yield [*_fields(), (b"host", b"a\r\nb: c" + lines)], b""
    yield [*_fields(), (b"X-Upper", b"1"), (b"te", b"trailers, chunked")], body


def everything(opening: Opening) -> int:
    """All of them, some at a time, as most of the time is spent waiting for what else may come; how many there were."""
    with ThreadPoolExecutor(12) as pool:
        plain = [pool.submit(asked, opening, sent, 0.1) for sent in ambiguous()]
        framed = [pool.submit(told, opening, fields, body, 0.1) for fields, body in translated()]
        for each in (*plain, *framed):
            each.result()
    return len(plain) + len(framed)


def told(opening: Opening, fields: Fields, body: bytes, seconds: float = 0.5) -> None:
    """One HTTP/2 request, sent as it is; whatever comes of it."""
    unread = h2.config.H2Configuration(
        header_encoding=None,
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
        validate_inbound_headers=False,
    )
    http = h2.connection.H2Connection(unread)
    http.initiate_connection()
    http.send_headers(1, fields, end_stream=not body)
    if body:
        http.send_data(1, body, end_stream=True)
    with contextlib.closing(opening()) as stream, contextlib.suppress(OSError, h2.exceptions.H2Error):
        stream.sendall(http.data_to_send())
        stream.settimeout(seconds)
        while received := stream.recv(65536):
            if any(isinstance(each, _ENDED) for each in http.receive_data(received)):
                return


_ENDED = (h2.events.StreamEnded, h2.events.StreamReset, h2.events.ConnectionTerminated)


def asked(opening: Opening, sent: bytes, seconds: float = 0.5) -> bytes:
    """What came back until the other side ended, or was silent for so long."""
    found = b""
    with contextlib.closing(opening()) as stream, contextlib.suppress(OSError):
        stream.sendall(sent)
        stream.settimeout(seconds)
        while received := stream.recv(65536):
            found += received
            if b"\r\n\r\n" in found and found.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")):
                break
    return found


# Floods ---

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PING, WINDOW, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind: int, stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """A field that is not kept in the table, neither of its parts longer than 126 bytes."""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


# GET http /open/page of shop.example, the first two from the static table.
_REQUEST = b"\x82\x86" + _literal(b":path", b"/open/page") + _literal(b":authority", b"shop.example")


def _streams() -> Iterator[int]:
    return iter(range(1, 1 << 30, 2))


def _resets() -> Iterator[bytes]:
    for number in _streams():
        yield frame(HEADERS, number, _REQUEST, END_HEADERS | END_STREAM) + frame(RESET, number, b"\0\0\0\x08")


def _continuations() -> Iterator[bytes]:
    yield frame(HEADERS, 1, _REQUEST)
    while True:
        yield frame(CONTINUATION, 1, b"".join(_literal(b"x-%d" % n, b"y" * 100) for n in range(100)))


def _empty_continuations() -> Iterator[bytes]:
    yield frame(HEADERS, 1, _REQUEST)
    while True:
        yield frame(CONTINUATION, 1)


def _empty_data() -> Iterator[bytes]:
    yield frame(HEADERS, 1, _REQUEST, END_HEADERS)
    while True:
        yield frame(DATA, 1)


def _bomb() -> Iterator[bytes]:
    """One field of 4,000 bytes goes into the table; every request names it thousands of times, a byte each."""
    kept = b"\x40\x01x" + b"\x7f" + _integer(4000 - 127) + b"y" * 4000
    for number in _streams():
        fields = _REQUEST + (kept if number == 1 else b"") + b"\xbe" * 8000
        yield frame(HEADERS, number, fields, END_HEADERS | END_STREAM)


def _integer(value: int) -> bytes:
    found = b""
    while value >= 128:
        found, value = found + bytes((value % 128 + 128,)), value // 128
    return found + bytes((value,))


def _same(each: bytes) -> Iterator[bytes]:
    while True:
        yield each


FLOODS: dict[str, Callable[[], Iterator[bytes]]] = {
    "rapid reset": _resets,
    "CONTINUATION": _continuations,
    "empty CONTINUATION": _empty_continuations,
    "empty DATA": _empty_data,
    "HPACK bomb": _bomb,
    "PING": lambda: _same(frame(PING, 0, b"12345678")),
    "SETTINGS": lambda: _same(frame(SETTINGS, 0, b"\0\3\0\0\0\x64")),
    "PRIORITY": lambda: _same(frame(PRIORITY, 1, b"\0\0\0\0\x10")),
    "WINDOW_UPDATE": lambda: _same(frame(WINDOW, 0, b"\0\0\0\1")),
}


def flooded(opening: Opening, frames: Iterable[bytes], most: int) -> int:
    """Bytes taken before the other side ended the connection, or `most`."""
    sent, waiting = 0, bytearray(_PREFACE + frame(SETTINGS, 0))
    with contextlib.closing(opening()) as stream, contextlib.suppress(OSError):
        stream.settimeout(2)
        for each in frames:
            waiting += each
            if len(waiting) < 65_536:
                continue
            stream.sendall(bytes(waiting))
            sent += len(waiting)
            waiting.clear()
            if sent >= most:
                break
    return sent


# Heads ---


def large(count: int, size: int) -> bytes:
    """One request with so many fields of so many bytes."""
    fields = b"".join(b"x-%d: %s\r\n" % (number, b"y" * size) for number in range(count))
    return HONEST[:-2] + fields + b"\r\n"


@dataclass
class Slow:
    """Connections that say a head byte by byte, and some that say nothing after they were accepted."""

    streams: list[socket.socket]

    @classmethod
    def opened(cls, port: int, count: int, start: bytes = b"") -> Slow:
        streams = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(count)]
        for stream in streams:
            stream.sendall(start)
        return cls(streams)

    def drip(self) -> None:
        for stream in self.streams:
            with contextlib.suppress(OSError):
                stream.sendall(b"x")

    @property
    def open(self) -> int:
        """Those that the other side has not ended."""
        return sum(map(_alive, self.streams))

    def close(self) -> None:
        for stream in self.streams:
            stream.close()


def _alive(stream: socket.socket) -> bool:
    stream.setblocking(False)
    try:
        while stream.recv(4096):
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


# The bystander ---


class Bystander:
    """Asks for his page again and again on one connection while the block lasts; how long each answer took."""

    def __init__(self, opening: Opening) -> None:
        self._stream = opening()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.took: list[float] = []
        self.lost: list[str] = []

    def __enter__(self) -> Bystander:
        self._stream.settimeout(30)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._stream.close()

    def _ask(self) -> None:
        while not self._stop.is_set() and not self.lost:
            began = time.monotonic()
            try:
                self._stream.sendall(HONEST)
                answer = b""
                while not answer.endswith(b"\r\n\r\nok"):
                    received = self._stream.recv(65536)
                    if not received or not (answer := answer + received).startswith(b"HTTP/1.1 200"):
                        self.lost.append(repr(answer))
                        return
            except OSError as error:
                self.lost.append(repr(error))
            self.took.append(time.monotonic() - began)
            self._stop.wait(0.005)

    def p99(self) -> float:
        return sorted(self.took)[int(len(self.took) * 0.99)]
