"""SPDY/3.1 frames: what a client sends arrives however it is cut, and nonsense is a ValueError."""

from __future__ import annotations

import struct
import zlib

import pytest

from plait.store.streams.spdy import DICTIONARY, Data, Event, Opened, Reset, Session


class Client:
    """Writes frames as spdystream does: one compressor for all header blocks."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def open(self, stream: int, finished: bool = False, **headers: str) -> bytes:
        words = [struct.pack(">I", len(headers))]
        for name, value in headers.items():
            words += [struct.pack(">I", len(each)) + each.encode() for each in (name, value)]
        block = self._deflate.compress(b"".join(words)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return control(1, struct.pack(">IIH", stream, 0, 0) + block, flags=int(finished))

    def headers(self, block: bytes) -> bytes:
        return self._inflate.decompress(block)


def control(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack(">II", 0x80030000 | kind, flags << 24 | len(body)) + body


def data(stream: int, body: bytes, finished: bool = False) -> bytes:
    return struct.pack(">II", stream, int(finished) << 24 | len(body)) + body


def test_the_dictionary_is_that_of_the_specification() -> None:
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def test_streams_open_with_headers_carry_data_and_end() -> None:
    client, session = Client(), Session()
    sent = client.open(1, StreamType="stdin") + data(1, b"hello") + data(1, b"", finished=True)
    sent += client.open(3, finished=True, StreamType="error", port="80") + control(3, struct.pack(">II", 1, 5))
    assert session.feed(sent) == [
        Opened(1, {"streamtype": "stdin"}, False),
        Data(1, b"hello", False),
        Data(1, b"", True),
        Opened(3, {"streamtype": "error", "port": "80"}, True),
        Reset(1),
    ]


@pytest.mark.parametrize("size", [1, 3, 7, 8, 9])
def test_frames_may_arrive_in_pieces_of_any_size(size: int) -> None:
    client, session = Client(), Session()
    sent = client.open(1, a="b") + data(1, b"x" * 20) + client.open(3, a="c")
    events: list[Event] = []
    for at in range(0, len(sent), size):
        events += session.feed(sent[at : at + size])
    assert events == [Opened(1, {"a": "b"}, False), Data(1, b"x" * 20, False), Opened(3, {"a": "c"}, False)]


def test_answers_are_frames_a_client_can_read() -> None:
    client, session = Client(), Session()
    session.accept(1)
    session.send(1, b"out")
    session.send(1, b"", finished=True)
    session.accept(3)
    sent = session.taken()
    assert session.taken() == b""
    kinds = []
    while sent:
        head, rest = struct.unpack(">II", sent[:8])
        body, sent = sent[8 : 8 + (rest & 0xFFFFFF)], sent[8 + (rest & 0xFFFFFF) :]
        if head >> 31:
            stream = struct.unpack(">I", body[:4])[0]
            assert client.headers(body[4:]) == struct.pack(">I", 0)
            kinds.append((head & 0xFFFF, stream, b""))
        else:
            kinds.append((rest >> 24, head, body))
    assert kinds == [(2, 1, b""), (0, 1, b"out"), (1, 1, b""), (2, 3, b"")]


def test_pings_are_answered_and_goaway_ends_the_session() -> None:
    session = Session()
    ping = control(6, struct.pack(">I", 7))
    assert session.feed(ping) == []
    assert session.taken() == ping
    assert session.feed(control(4, b"settings")) == []
    assert session.feed(control(7, struct.pack(">II", 0, 0))) == [Reset(0)]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n" + bytes(8),
        struct.pack(">II", 0x80020001, 10) + bytes(10),
        struct.pack(">II", 0x80030001, 0xFFFFFF + 0) + bytes(10),
        control(1, b"abc"),
        control(1, struct.pack(">IIH", 1, 0, 0) + b"not deflated"),
        control(3, b""),
    ],
)
def test_what_is_no_spdy_is_refused_or_waited_for_but_never_an_event(sent: bytes) -> None:
    session = Session()
    try:
        events = session.feed(sent)
    except ValueError:
        return
    assert not [each for each in events if isinstance(each, Opened | Reset)]
