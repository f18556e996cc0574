"""Tests of one value that need nothing around it: enum, pattern, bounds, length, format, quantity."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from plait.store.schema.field_errors import INVALID, Report, Schema, Trail

Test = Callable[[Any, Trail, Report], None]
_QUANTITY = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?\Z")
_QUANTITY_HINT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def tests(schema: Schema) -> Iterator[Test]:
    if schema.get("enum"):
        yield _enum(schema["enum"], bool(schema.get("x-plait-empty-is-absent")))
    if "pattern" in schema:
        yield _pattern(schema["pattern"])
    for key in ("minimum", "maximum", "multipleOf"):
        if key in schema:
            yield _bound(key, schema[key], bool(schema.get("exclusive" + key.capitalize())))
    if "minLength" in schema or "maxLength" in schema:
        yield _length(schema.get("minLength"), schema.get("maxLength"))
    if schema.get("format") in _FORMATS:
        yield _format(schema["format"])


def _enum(values: list[Any], empty: bool) -> Test:
    allowed = [*values, ""] if empty else list(values)
    shown = ", ".join(json.dumps(each) for each in values)

    def test(value: Any, trail: Trail, report: Report) -> None:
        if value not in allowed:
            report(
                trail, f"Unsupported value: {json.dumps(value)}: supported values: {shown}", "FieldValueNotSupported"
            )

    return test


def _pattern(text: str) -> Test:
    try:
        # Go's final $ does not match before a line feed, Python's does; Go's \z is Python's \Z.
        closed = text[:-1] + r"\Z" if text.endswith("$") and not text.endswith(r"\$") else text
        search = re.compile(closed.replace(r"\z", r"\Z")).search
    except re.error:
        return lambda value, trail, report: None

    def test(value: Any, trail: Trail, report: Report) -> None:
        if isinstance(value, str) and search(value) is None:
            message = f"Invalid value: {json.dumps(value)}: should match '{text}'"
            report(trail, message, INVALID)

    return test


def _bound(key: str, bound: float, exclusive: bool) -> Test:
    words: dict[str, tuple[str, Callable[[float], bool]]] = {
        "minimum": (
            "greater than" + ("" if exclusive else " or equal to"),
            lambda v: v <= bound if exclusive else v < bound,
        ),
        "maximum": (
            "less than" + ("" if exclusive else " or equal to"),
            lambda v: v >= bound if exclusive else v > bound,
        ),
        "multipleOf": ("a multiple of", lambda v: v % bound != 0),
    }
    text, wrong = words[key]

    def test(value: Any, trail: Trail, report: Report) -> None:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and wrong(value):
            report(trail, f"Invalid value: {json.dumps(value)}: should be {text} {bound}", INVALID)

    return test


def _length(least: int | None, most: int | None) -> Test:
    def test(value: Any, trail: Trail, report: Report) -> None:
        if not isinstance(value, str):
            return
        if least is not None and len(value) < least:
            message = f"Invalid value: {json.dumps(value)}: should be at least {least} chars long"
            report(trail, message, INVALID)
        if most is not None and len(value) > most:
            report(trail, f"Too long: may not be more than {most} bytes", "FieldValueTooLong")

    return test


_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z")
_FORMATS: dict[str, Callable[[Any], bool]] = {
    "date-time": lambda v: not isinstance(v, str) or _DATE.match(v) is not None,
    "byte": lambda v: not isinstance(v, str) or _BASE64.match(v.replace("\n", "").replace("\r", "")) is not None,
    "int32": lambda v: not isinstance(v, int) or -(2**31) <= v < 2**31,
    "int64": lambda v: not isinstance(v, int) or -(2**63) <= v < 2**63,
}


def _format(name: str) -> Test:
    good = _FORMATS[name]

    def test(value: Any, trail: Trail, report: Report) -> None:
        if not good(value):
            message = f"Invalid value: {json.dumps(value)}: must be of format {name}"
            report(trail, message, INVALID)

    return test


def quantity_error(value: str) -> str:
    """What is wrong with a resource quantity, "" nothing."""
    return "" if _QUANTITY.match(value) else f"Invalid value: {json.dumps(value)}: {_QUANTITY_HINT}"
