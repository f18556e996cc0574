"""DNS messages as bytes: one question in, an answer out. Only what our resolvers say (RFC 1035, 2782, 6891).

Garbage is None, never an exception. Names are lower case, without the last dot.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

A, CNAME, SOA, PTR, AAAA, SRV, OPT, ANY = 1, 5, 6, 12, 28, 33, 41, 255
NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NAME_ERROR, NOT_IMPLEMENTED = 0, 1, 2, 3, 4
_HEADER = struct.Struct("!HHHHHH")
_PLAIN_SIZE, _OUR_SIZE = 512, 1232


@dataclass(frozen=True, slots=True)
class Query:
    """`raw` is the question section as sent: its spelling (0x20) is repeated in the answer."""

    id: int
    flags: int
    name: str
    type: int
    raw: bytes
    size: int  # the largest UDP answer the client takes
    edns: bool


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    type: int
    ttl: int
    data: bytes


def parse(message: bytes) -> Query | None:
    """The query, when it is one standard question; else None."""
    if len(message) < 12:
        return None
    number, flags, questions, answers, authorities, additional = _HEADER.unpack_from(message)
    if flags & 0x8000 or flags & 0x7800 or questions != 1 or answers or authorities:
        return None
    found = _name(message, 12)
    if found is None:
        return None
    name, end = found
    if len(message) < end + 4:
        return None
    type_, class_ = struct.unpack_from("!HH", message, end)
    if class_ not in (1, 255):
        return None
    end += 4
    size, edns = _PLAIN_SIZE, False
    if additional and message[end : end + 3] == b"\x00\x00\x29" and len(message) >= end + 11:
        size, edns = max(_PLAIN_SIZE, struct.unpack_from("!H", message, end + 3)[0]), True
    return Query(number, flags, name, type_, message[12:end], size, edns)


def question(name: str, type: int, number: int = 0) -> bytes:
    """A query for one name, recursion desired."""
    return _HEADER.pack(number, 0x0100, 1, 0, 0, 0) + encode_name(name) + struct.pack("!HH", type, 1)


def refusal(message: bytes, code: int = FORMAT_ERROR) -> bytes | None:
    """The answer to what is no question we understand; None to what is not even a query."""
    if len(message) < 12 or message[2] & 0x80:
        return None
    number, flags = struct.unpack_from("!HH", message)
    return _HEADER.pack(number, 0x8000 | flags & 0x7900 | code, 0, 0, 0, 0)


def answer(
    query: Query, code: int, answers: Sequence[Record] = (), authority: Sequence[Record] = (), *, tcp: bool = False
) -> bytes:
    """The whole message; over UDP cut to what the client takes, with the truncation bit, so that it asks by TCP."""
    flags = 0x8480 | query.flags & 0x0100 | code  # answer, authoritative, recursion available
    opt = b"\x00" + struct.pack("!HHIH", OPT, _OUR_SIZE, 0, 0) if query.edns else b""
    limit = 65535 if tcp else min(query.size, 4096)
    body, count = b"", 0
    room = limit - 12 - len(query.raw) - len(opt)
    for record in answers:
        encoded = _record(record)
        if len(body) + len(encoded) > room:
            flags |= 0x0200
            break
        body, count = body + encoded, count + 1
    extra = [_record(record) for record in authority] if not flags & 0x0200 else []
    if len(body) + sum(map(len, extra)) > room:
        extra = []
    header = _HEADER.pack(query.id, flags, 1, count, len(extra), 1 if opt else 0)
    return header + query.raw + body + b"".join(extra) + opt


def address(name: str, text: str, ttl: int) -> Record:
    if ":" in text:
        return Record(name, AAAA, ttl, IPv6Address(text).packed)
    return Record(name, A, ttl, IPv4Address(text).packed)


def pointer(name: str, type: int, target: str, ttl: int) -> Record:
    """PTR or CNAME."""
    return Record(name, type, ttl, encode_name(target))


def service(name: str, target: str, port: int, ttl: int) -> Record:
    return Record(name, SRV, ttl, struct.pack("!HHH", 0, 100, port) + encode_name(target))


def authority(zone: str, ttl: int) -> Record:
    """SOA: its last number is how long clients remember that a name does not exist."""
    names = encode_name(f"ns.dns.{zone}") + encode_name(f"hostmaster.{zone}")
    return Record(zone, SOA, ttl, names + struct.pack("!IIIII", 1, 7200, 1800, 86400, ttl))


def encode_name(name: str) -> bytes:
    labels = [label.encode("latin-1", "replace") for label in name.split(".") if label]
    if any(len(label) > 63 for label in labels) or sum(len(label) + 1 for label in labels) > 254:
        raise ValueError(f"not a DNS name: {name!r}")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\x00"


def _record(record: Record) -> bytes:
    head = encode_name(record.name)
    return head + struct.pack("!HHIH", record.type, 1, record.ttl, len(record.data)) + record.data


def _name(message: bytes, at: int) -> tuple[str, int] | None:
    """A question's name is never compressed: nothing stands before it that it could point to."""
    labels: list[str] = []
    total = 0
    while at < len(message):
        length = message[at]
        at += 1
        if length == 0:
            return ".".join(labels), at
        total += length + 1
        if length > 63 or total > 254 or at + length > len(message):
            return None
        label = message[at : at + length]
        if b"." in label:
            return None  # legal on the wire, a name of nothing here
        labels.append(label.decode("latin-1").lower())
        at += length
    return None
