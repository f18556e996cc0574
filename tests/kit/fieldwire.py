"""Protobuf's wire format by hand: what is on the wire is read by field number, with no descriptors of the project."""

from __future__ import annotations

from typing import TypeAlias

Fields: TypeAlias = dict[int, list[bytes | int]]


def read(data: bytes) -> Fields:
    """Field number -> values in order: integers for varints and fixed widths, bytes for the rest."""
    found: Fields = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        match key & 7:
            case 0:
                value: bytes | int
                value, at = _varint(data, at)
            case 1 | 5:
                width = 8 if key & 7 == 1 else 4
                value, at = int.from_bytes(data[at : at + width], "little"), at + width
            case 2:
                size, at = _varint(data, at)
                value, at = data[at : at + size], at + size
                assert len(value) == size, "a field longer than its message"
            case kind:
                raise AssertionError(f"wire type {kind}")
        found.setdefault(key >> 3, []).append(value)
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, at, shift = value | (byte & 127) << shift, at + 1, shift + 7
        if not byte & 128:
            return value, at


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def write(*fields: tuple[int, bytes | str | int]) -> bytes:
    """One message of these fields, in this order."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += _number(number << 3) + _number(value)
        else:
            body = value.encode() if isinstance(value, str) else value
            out += _number(number << 3 | 2) + _number(len(body)) + body
    return out


def text(fields: Fields, number: int) -> str:
    """A string field, "" where it is absent."""
    found = fields.get(number, [b""])[-1]
    assert isinstance(found, bytes)
    return found.decode()


def inner(fields: Fields, number: int) -> Fields:
    """A message field, empty where it is absent."""
    found = fields.get(number, [b""])[-1]
    assert isinstance(found, bytes)
    return read(found)


def each(fields: Fields, number: int) -> list[bytes]:
    """A repeated length-delimited field."""
    found = fields.get(number, [])
    assert all(isinstance(value, bytes) for value in found)
    return [value for value in found if isinstance(value, bytes)]
