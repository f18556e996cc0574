"""SPDY/3.1 as kubectl speaks it: frames in, frames out, streams by number. No sockets: bytes are fed and returned.

Only what exec, attach and port-forward use; flow control is left out because their library sends no WINDOW_UPDATE.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _dictionary() -> bytes:
    words = [*_WORDS.split(), "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"]
    return b"".join(struct.pack(">I", len(word)) + word.encode() for word in words) + _TAIL.encode()


DICTIONARY = _dictionary()  # of the SPDY/3 specification, 2.6.10.1
_SYN_STREAM, _SYN_REPLY, _RST, _PING, _GOAWAY = 1, 2, 3, 6, 7
_FIN = 1
_MOST = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Opened:
    """The client opened a stream; header names are lower case."""

    stream: int
    headers: dict[str, str]
    finished: bool


@dataclass(frozen=True, slots=True)
class Data:
    stream: int
    data: bytes
    finished: bool


@dataclass(frozen=True, slots=True)
class Reset:
    """The client gave a stream up; stream 0: the whole session."""

    stream: int


Event = Opened | Data | Reset


@dataclass(slots=True)
class Session:
    """One connection, from the server's side. `feed` gives events; what is to be sent stands in `out`."""

    out: bytearray = field(default_factory=bytearray)
    _buffer: bytearray = field(default_factory=bytearray)
    _inflate: zlib._Decompress = field(default_factory=lambda: zlib.decompressobj(zdict=DICTIONARY))
    _deflate: zlib._Compress = field(default_factory=lambda: zlib.compressobj(zdict=DICTIONARY))

    def feed(self, data: bytes) -> list[Event]:
        """Events of the bytes so far; ValueError when they are not SPDY/3."""
        self._buffer += data
        events: list[Event] = []
        while len(self._buffer) >= 8:
            head, rest = struct.unpack(">II", self._buffer[:8])
            size = rest & 0xFFFFFF
            if head >> 31 and (head >> 16) & 0x7FFF != 3:
                raise ValueError("not a SPDY/3 frame")
            if size > _MOST:
                raise ValueError(f"a SPDY frame of {size} bytes")
            if len(self._buffer) < 8 + size:
                break
            body = bytes(self._buffer[8 : 8 + size])
            del self._buffer[: 8 + size]
            flags = rest >> 24
            if head >> 31:
                events += self._control(head, flags, body)
            else:
                events.append(Data(head & 0x7FFFFFFF, body, bool(flags & _FIN)))
        return events

    def _control(self, head: int, flags: int, body: bytes) -> list[Event]:
        kind = head & 0xFFFF
        try:
            if kind == _SYN_STREAM:
                (stream,) = struct.unpack_from(">I", body)
                return [Opened(stream & 0x7FFFFFFF, self._headers(body[10:]), bool(flags & _FIN))]
            if kind == _RST:
                return [Reset(struct.unpack_from(">I", body)[0] & 0x7FFFFFFF)]
        except (struct.error, zlib.error, UnicodeDecodeError) as error:
            raise ValueError(f"a broken SPDY frame: {error}") from error
        if kind == _PING:
            self._put(_PING, 0, body)
        if kind == _GOAWAY:
            return [Reset(0)]
        return []

    def _headers(self, block: bytes) -> dict[str, str]:
        text = self._inflate.decompress(block)
        (count,) = struct.unpack_from(">I", text)
        at, words = 4, []
        for _ in range(2 * count):
            (size,) = struct.unpack_from(">I", text, at)
            words.append(text[at + 4 : at + 4 + size].decode())
            at += 4 + size
        return {name.lower(): value for name, value in zip(words[::2], words[1::2], strict=True)}

    def _put(self, kind: int, flags: int, body: bytes) -> None:
        self.out += struct.pack(">II", 0x80030000 | kind, flags << 24 | len(body)) + body

    def accept(self, stream: int) -> None:
        """SYN_REPLY without headers."""
        block = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        self._put(_SYN_REPLY, 0, struct.pack(">I", stream) + block)

    def send(self, stream: int, data: bytes, *, finished: bool = False) -> None:
        """Data of one stream; `finished` closes our side of it."""
        self.out += struct.pack(">II", stream, (_FIN if finished else 0) << 24 | len(data)) + data

    def taken(self) -> bytes:
        """What is to be sent now."""
        out = bytes(self.out)
        self.out.clear()
        return out
