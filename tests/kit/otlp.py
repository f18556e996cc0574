"""Spans out of an OTLP export request (opentelemetry-proto trace/v1), read by field numbers alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_LENGTHS = {1: 8, 5: 4}


@dataclass(frozen=True, slots=True)
class Span:
    trace: str
    id: str
    parent: str
    name: str
    attributes: dict[str, str]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Fields that have a length, as bytes; numbers are passed over."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            _, at = _varint(data, at)
        elif kind in _LENGTHS:
            at += _LENGTHS[kind]
        else:
            length, at = _varint(data, at)
            yield number, data[at : at + length]
            at += length


def _all(data: bytes, *path: int) -> Iterator[bytes]:
    """Messages at this path of field numbers."""
    for number, value in _fields(data):
        if number == path[0]:
            yield from _all(value, *path[1:]) if path[1:] else (value,)


def spans(request: bytes) -> Iterator[Span]:
    """Of ExportTraceServiceRequest: resource_spans 1, scope_spans 2, spans 2."""
    for span in _all(request, 1, 2, 2):
        text = {number: value for number, value in _fields(span) if number != 9}
        attributes = {
            next(_all(each, 1)).decode(): next(_all(each, 2, 1), b"").decode("utf-8", "replace")
            for each in _all(span, 9)
        }
        ids = (text.get(number, b"").hex() for number in (1, 2, 4))
        yield Span(*ids, text.get(5, b"").decode(), attributes)
