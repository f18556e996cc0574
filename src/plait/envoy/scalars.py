"""How does one scalar of a document become bytes, and what does it say when it does not fit: leaves for `wire`.

Messages, maps and the types with a JSON form of their own are `wire`'s; this file knows only single values.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

Encoder = Callable[[Any], bytes]
_F = FieldDescriptor


class WireError(ValueError):
    """A document does not fit Envoy's API. `path` is the field, from the document's root."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message, self.path = message, path

    def under(self, step: str) -> WireError:
        """The same error seen from one level further out."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return WireError(self.message, f"{step}{joint}{self.path}")

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


_SHORT = tuple(bytes((value,)) for value in range(0x80))


def varint(value: int) -> bytes:
    if value < 0x80:
        return _SHORT[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _integer(low: int, high: int) -> Encoder:
    def encoded(value: Any) -> bytes:
        if isinstance(value, str):
            try:
                value = int(value)
            except ValueError:
                raise WireError(f"want an integer, got {value!r}") from None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise WireError(f"want an integer, got {value!r}")
        if not low <= value <= high:
            raise WireError(f"{value} is outside {low}..{high}")
        return varint(value & 0xFFFFFFFFFFFFFFFF)

    return encoded


def _zigzag(low: int, high: int) -> Encoder:
    plain = _integer(low, high)

    def encoded(value: Any) -> bytes:
        plain(value)
        number = int(value)
        return varint((number << 1) ^ (number >> 63) if number >= 0 else ((-number) << 1) - 1)

    return encoded


def _fixed(layout: str) -> Encoder:
    def encoded(value: Any) -> bytes:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise WireError(f"want a number, got {value!r}")
        try:
            return struct.pack(layout, float(value) if layout[1] in "fd" else int(value))
        except (struct.error, ValueError):
            raise WireError(f"want a number, got {value!r}") from None

    return encoded


def boolean(value: Any) -> bytes:
    if not isinstance(value, bool):
        raise WireError(f"want true or false, got {value!r}")
    return b"\x01" if value else b"\x00"


def text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise WireError(f"want a string, got {value!r}")
    return _text(value)


@lru_cache(1 << 14)  # names, labels and types come again and again
def _text(value: str) -> bytes:
    raw = value.encode()
    return varint(len(raw)) + raw


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            value = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise WireError("want base64 text") from None
    if not isinstance(value, (bytes, bytearray)):
        raise WireError(f"want bytes or base64 text, got {value!r}")
    return varint(len(value)) + bytes(value)


def enum(kind: EnumDescriptor) -> Encoder:
    numbers: dict[str, int] = {name: value.number for name, value in kind.values_by_name.items()}

    def encoded(value: Any) -> bytes:
        if isinstance(value, int) and not isinstance(value, bool):
            return varint(value & 0xFFFFFFFFFFFFFFFF)
        if value not in numbers:
            raise WireError(f"{value!r} is not one of {', '.join(numbers)}")
        return varint(numbers[value] & 0xFFFFFFFFFFFFFFFF)

    return encoded


_I32, _U32, _I64, _U64 = (-(2**31), 2**31 - 1), (0, 2**32 - 1), (-(2**63), 2**63 - 1), (0, 2**64 - 1)
SCALARS: dict[int, tuple[int, Encoder]] = {  # field type -> (wire type, encoder)
    _F.TYPE_DOUBLE: (1, _fixed("<d")),
    _F.TYPE_FLOAT: (5, _fixed("<f")),
    _F.TYPE_FIXED64: (1, _fixed("<Q")),
    _F.TYPE_SFIXED64: (1, _fixed("<q")),
    _F.TYPE_FIXED32: (5, _fixed("<I")),
    _F.TYPE_SFIXED32: (5, _fixed("<i")),
    _F.TYPE_INT64: (0, _integer(*_I64)),
    _F.TYPE_UINT64: (0, _integer(*_U64)),
    _F.TYPE_INT32: (0, _integer(*_I32)),
    _F.TYPE_UINT32: (0, _integer(*_U32)),
    _F.TYPE_SINT32: (0, _zigzag(*_I32)),
    _F.TYPE_SINT64: (0, _zigzag(*_I64)),
    _F.TYPE_BOOL: (0, boolean),
    _F.TYPE_STRING: (2, text),
    _F.TYPE_BYTES: (2, _bytes),
}
EMPTY = (b"\x00", b"\x00" * 4, b"\x00" * 8)


def prefixed(body: bytes) -> bytes:
    """The body behind its length: strings, messages, packed lists."""
    return varint(len(body)) + body


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
