"""Does a value fit its schema? Unknown fields, wrong types, missing and bad values, each with path and way out.

Works on plain documents and the schemas of `schema.py`; rules that relate fields are in `rules/`. null counts as
absent, as in Istio's own reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple

from plait.resources import codes, durations

Schema = dict[str, Any]


class Finding(NamedTuple):
    """One thing wrong: code, path, message."""

    code: str
    path: str
    message: str


def check(value: Any, schema: Schema, path: str) -> Iterator[Finding]:
    """Everything in which the value does not fit."""
    expected = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, int | str):
            yield Finding(codes.WRONG_TYPE, path, f"{_shown(value)} is {_name(value)}; write an integer or a string")
        return
    if expected is not None and not _is(value, expected):
        yield Finding(codes.WRONG_TYPE, path, _type_message(value, expected))
        return
    if isinstance(value, dict):
        yield from _check_object(value, schema, path)
    elif isinstance(value, list):
        yield from _check_list(value, schema, path)
    elif isinstance(value, str):
        yield from _check_string(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _check_number(value, schema, path)


def _is(value: Any, expected: str) -> bool:
    match expected:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            return whole and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
    return True


_NAMES = {"object": "a mapping", "array": "a list", "string": "a string", "boolean": "true or false"}


def _name(value: Any) -> str:
    for python, name in ((bool, "a boolean"), (int, "an integer"), (float, "a number"), (str, "a string")):
        if isinstance(value, python):
            return name
    return {dict: "a mapping", list: "a list", type(None): "null"}.get(type(value), type(value).__name__)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _type_message(value: Any, expected: str) -> str:
    wanted = _NAMES.get(expected, "an integer" if expected == "integer" else "a number")
    hint = f"write {wanted}"
    if expected == "string" and isinstance(value, int | float):
        hint = f"put it in quotes: {str(value).lower() if isinstance(value, bool) else value!r}"
        hint = hint if isinstance(value, bool) else f'put it in quotes: "{value}"'
    elif expected in ("integer", "number") and isinstance(value, str) and value.lstrip("-").isdigit():
        hint = f"write {value} without quotes"
    elif expected == "array":
        hint = "write a list: put '- ' before each item"
    return f"{_shown(value)} is {_name(value)}, expected {wanted}; {hint}"


def _check_object(value: dict[str, Any], schema: Schema, path: str) -> Iterator[Finding]:
    properties: dict[str, Schema] | None = schema.get("properties")
    values: Any = schema.get("additionalProperties")
    for required in schema.get("required", ()):
        if value.get(required) is None:
            yield Finding(codes.MISSING, _join(path, required), f"the field {required!r} is required; add it")
    for name, item in value.items():
        if properties is not None and name in properties:
            if item is not None:
                yield from check(item, properties[name], _join(path, name))
        elif isinstance(values, dict):
            if item is not None or values.get("type") == "string":
                yield from check("" if item is None else item, values, f"{path}[{name}]")
        elif not schema.get("x-kubernetes-preserve-unknown-fields") and properties is not None:
            yield Finding(codes.UNKNOWN_FIELD, _join(path, name), unknown(name, properties))
    if (most := schema.get("maxProperties")) is not None and len(value) > most:
        yield Finding(codes.BAD_VALUE, path, f"{len(value)} entries, at most {most} are allowed; remove some")
    if len(value) < schema.get("minProperties", 0):
        yield Finding(codes.BAD_VALUE, path, "the mapping is empty; add an entry or remove the field")


def unknown(name: str, known: dict[str, Any] | tuple[str, ...]) -> str:
    """What is said of a field the kind has not."""
    folded = {each.lower().replace("_", ""): each for each in known}
    near = folded.get(name.lower().replace("_", "").replace("-", ""))
    found = [near] if near else get_close_matches(name, list(known), 1, 0.6)
    hint = f"did you mean {found[0]!r}?" if found else f"known here: {', '.join(sorted(known)[:20])}"
    return f"unknown field {name!r}; {hint}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _check_list(value: list[Any], schema: Schema, path: str) -> Iterator[Finding]:
    items: Schema = schema.get("items", {})
    for index, item in enumerate(value):
        yield from check(item, items, f"{path}[{index}]")
    if (most := schema.get("maxItems")) is not None and len(value) > most:
        yield Finding(codes.BAD_VALUE, path, f"{len(value)} items, at most {most} are allowed; remove some")
    if len(value) < schema.get("minItems", 0):
        yield Finding(codes.BAD_VALUE, path, f"at least {schema['minItems']} item is needed; add one")
    seen: set[str] = set()
    names = schema.get("x-kubernetes-list-map-keys", ())
    unique = bool(names) or schema.get("x-kubernetes-list-type") == "set"
    for index, item in enumerate(value if unique else ()):
        identity = repr([item.get(name) for name in names] if names and isinstance(item, dict) else item)
        if identity in seen:
            what = " and ".join(names) or "value"
            yield Finding(codes.BAD_VALUE, f"{path}[{index}]", f"{what} {identity} is given twice; make it unique")
        seen.add(identity)


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.replace(r"\x60", "`"))


def _check_string(value: str, schema: Schema, path: str) -> Iterator[Finding]:
    if (enum := schema.get("enum")) and value not in enum:
        near = {each.lower(): each for each in enum}.get(value.lower())
        found = [near] if near else get_close_matches(value, enum, 1)
        hint = f"did you mean {found[0]!r}? " if found else ""
        yield Finding(codes.BAD_VALUE, path, f"{_shown(value)} is not allowed; {hint}use one of {', '.join(enum)}")
        return
    if len(value) < schema.get("minLength", 0):
        yield Finding(codes.BAD_VALUE, path, "the value is empty; give one or remove the field")
        return
    if (most := schema.get("maxLength")) is not None and len(value) > most:
        yield Finding(codes.BAD_VALUE, path, f"{len(value)} characters, at most {most} are allowed; shorten it")
    elif (pattern := schema.get("pattern")) and not _expression(pattern).search(value):
        yield Finding(codes.BAD_VALUE, path, f"{_shown(value)} does not have the form {pattern}; change it")
    if schema.get("format") == "go-duration" and durations.seconds(value) is None:
        yield Finding(codes.BAD_VALUE, path, f"{_shown(value)} is not a duration; write one such as 1.5s, 100ms, 1h30m")


def _check_number(value: float, schema: Schema, path: str) -> Iterator[Finding]:
    if (enum := schema.get("enum")) and value not in enum:
        yield Finding(codes.BAD_VALUE, path, f"{value} is not allowed; use one of {', '.join(map(str, enum))}")
    low, high = schema.get("minimum"), schema.get("maximum")
    if schema.get("format") == "int32":
        low, high = (-(1 << 31) if low is None else low), ((1 << 31) - 1 if high is None else high)
    if (low is not None and value < low) or (high is not None and value > high):
        limits = f"{low} or more" if high is None else f"{low} to {high}"
        yield Finding(codes.BAD_VALUE, path, f"{value} is out of range; write a number of {limits}")


def trimmed(value: Any, schema: Schema) -> Any:
    """The value without nulls and without fields the schema has not."""
    if isinstance(value, list):
        return [trimmed(item, schema.get("items", {})) for item in value]
    if isinstance(value, float) and schema.get("type") == "integer" and value.is_integer():
        return int(value)
    properties = schema.get("properties")
    if not isinstance(value, dict) or (properties is None and "additionalProperties" not in schema):
        return value
    known: dict[str, Any] = properties or {}
    values = schema.get("additionalProperties")
    keep = schema.get("x-kubernetes-preserve-unknown-fields")
    return {
        name: trimmed(item, known.get(name) or values or {})
        for name, item in value.items()
        if item is not None and (name in known or values is not None or keep)
    }
