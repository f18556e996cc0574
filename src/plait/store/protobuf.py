"""What does a Kubernetes protobuf body say? The `k8s\\0` envelope and a decoder over the generated field tables.

Gives the JSON form Go's own encoder would give: zero values of plain fields with omitempty are absent, those of
pointer fields are kept. Reads only; nothing here writes protobuf.
"""

from __future__ import annotations

import datetime
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

from plait.store.schema.schemas import builtin, names

_MAGIC = b"k8s\x00"
_FLAGS = "!*[{"


def decode(body: bytes) -> dict[str, Any]:
    """The document in a body; ValueError says what is wrong with it."""
    if not body.startswith(_MAGIC):
        raise ValueError("a Kubernetes protobuf body starts with k8s and a zero byte")
    api_version, kind, raw = "", "", b""
    for number, value in _fields(body[len(_MAGIC) :]):
        if number == 1:
            for inner, text in _fields(_bytes(value)):
                if inner == 1:
                    api_version = _text(text)
                elif inner == 2:
                    kind = _text(text)
        elif number == 2:
            raw = _bytes(value)
    group, _, version = api_version.rpartition("/")
    name = names().get((group, version, kind)) or names().get(("*", "v1", kind))
    if name is None:
        raise ValueError(f"no protobuf form of {kind or 'a kind without name'} in {api_version or 'no version'}")
    return {"apiVersion": api_version, "kind": kind, **_message(raw, name)}


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        value: int | bytes
        if wire == 0:
            value, at = _varint(data, at)
        elif wire == 2:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = data[at : at + size], at + size
        else:
            raise ValueError(f"wire type {wire} of field {number} is not in use")
        if at > end:
            raise ValueError(f"field {number} ends {at - end} bytes after the message")
        yield number, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("a number does not end")


def _message(data: bytes, name: str) -> dict[str, Any]:
    table = builtin()["protobuf"][name]
    out: dict[str, Any] = {}
    for number, value in _fields(data):
        if (entry := table.get(str(number))) is None:
            continue
        code, key, ref = entry.split("|")
        flags, letter = code[:-1], code[-1]
        if not key:  # an embedded struct: its fields are the owner's in JSON
            out |= _message(_bytes(value), ref)
            continue
        if "{" in flags:
            out.setdefault(key, {}).update(_entry(_bytes(value), letter, ref))
        elif "[" in flags:
            out.setdefault(key, []).append(_value(value, letter, ref))
        else:
            found = _value(value, letter, ref)
            if "*" in flags or not _is_zero(found, "!" in flags):
                out[key] = found
            else:
                out.pop(key, None)
    return {key: value for key, value in out.items() if value is not None}


def _is_zero(value: Any, written: bool) -> bool:
    """Empty structs say nothing even where Go writes them; other zeros count where the field lacks omitempty."""
    return value is None or value == {} or (not written and value in ("", 0, False))


def _entry(data: bytes, letter: str, ref: str) -> dict[str, Any]:
    key, value = "", _empty(letter)
    for number, each in _fields(data):
        if number == 1:
            key = _text(each)
        elif number == 2:
            value = _value(each, letter, ref)
    return {key: value}


def _empty(letter: str) -> Any:
    return {"s": "", "b": "", "m": {}, "L": [], "i": 0, "B": False, "d": 0.0, "Q": "0"}.get(letter)


def _value(value: int | bytes, letter: str, ref: str) -> Any:
    if letter == "m":
        return _message(_bytes(value), ref)
    return _READERS[letter](value)


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number stands where bytes are expected")
    return value


def _text(value: int | bytes) -> str:
    return _bytes(value).decode()


def _number(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("bytes stand where a number is expected")
    return value - (1 << 64) if value >= 1 << 63 else value


def _base64(value: int | bytes) -> str:
    import base64

    return base64.b64encode(_bytes(value)).decode()


def _double(value: int | bytes) -> float:
    return float(struct.unpack("<d", _bytes(value))[0])


def _parts(value: int | bytes) -> dict[int, int | bytes]:
    return dict(_fields(_bytes(value)))


def _time(value: int | bytes) -> str | None:
    parts = _parts(value)
    return _moment(parts).strftime("%Y-%m-%dT%H:%M:%SZ") if parts else None


def _micro_time(value: int | bytes) -> str | None:
    parts = _parts(value)
    return _moment(parts).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if parts else None


def _moment(parts: dict[int, int | bytes]) -> datetime.datetime:
    seconds, nanos = _number(parts.get(1, 0)), _number(parts.get(2, 0))
    start = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    try:
        return start + datetime.timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError as error:
        raise ValueError(f"{seconds} seconds is no time") from error


def _duration(value: int | bytes) -> str:
    return f"{_number(_parts(value).get(1, 0)) / 1e9:g}s"


def _int_or_string(value: int | bytes) -> int | str:
    parts = _parts(value)
    return _text(parts.get(3, b"")) if parts.get(1) else _number(parts.get(2, 0))


def _raw_json(value: int | bytes) -> Any:
    raw = _bytes(_parts(value).get(1, b""))
    return json.loads(raw) if raw else None


def _schema_name(name: str) -> str:
    return "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1." + name


def _or_array(value: int | bytes) -> Any:
    fields = list(_fields(_bytes(value)))
    many = [_message(_bytes(each), _schema_name("JSONSchemaProps")) for number, each in fields if number == 2]
    one = [_message(_bytes(each), _schema_name("JSONSchemaProps")) for number, each in fields if number == 1]
    return one[0] if one else many


def _or_bool(value: int | bytes) -> Any:
    parts = _parts(value)
    if 2 in parts:
        return _message(_bytes(parts[2]), _schema_name("JSONSchemaProps"))
    return bool(parts.get(1, 0))


def _or_strings(value: int | bytes) -> Any:
    fields = list(_fields(_bytes(value)))
    one = [_message(_bytes(each), _schema_name("JSONSchemaProps")) for number, each in fields if number == 1]
    return one[0] if one else [_text(each) for number, each in fields if number == 2]


_READERS: dict[str, Callable[[int | bytes], Any]] = {
    "s": _text,
    "b": _base64,
    "i": _number,
    "B": lambda value: bool(_number(value)),
    "d": _double,
    "T": _time,
    "U": _micro_time,
    "D": _duration,
    "Q": lambda value: _text(_parts(value).get(1, b"")),
    "I": _int_or_string,
    "R": _raw_json,
    "L": lambda value: [_text(each) for _, each in _fields(_bytes(value))],
    "A": _or_array,
    "O": _or_bool,
    "S": _or_strings,
}
