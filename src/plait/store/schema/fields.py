"""Are the fields of a document known, and what are their defaults? Prunes, defaults and names unknown fields.

Schemas (structural OpenAPI v3) are compiled to closures once. `check` (values against the schema) is in checks.py and
offered here too. Whether an object may change from one state to another is the server's business.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from plait.store.schema.checks import check
from plait.store.schema.field_errors import FieldError, Schema, Trail, rendered

__all__ = ["FieldError", "check", "duplicate_keys", "normalize"]

_Clean = Callable[[Any, Trail, "list[Trail] | None"], Any]
_compiled: dict[int, tuple[Schema, _Clean]] = {}
_MANY = 20_000


def normalize(document: Schema, schema: Schema, *, strict: bool) -> tuple[Schema, list[FieldError]]:
    """A copy without unknown fields and with defaults; in strict, one error for each unknown field, else none."""
    unknown: list[Trail] | None = [] if strict else None
    out = _cleaner(schema)(document, None, unknown)
    errors = []
    for trail in unknown or ():
        path = rendered(trail)
        errors.append(FieldError(path, f'unknown field "{path}"', "FieldValueInvalid"))
    return out, errors


def _cleaner(schema: Schema) -> _Clean:
    found = _compiled.get(id(schema))
    if found is not None:
        return found[1]
    if len(_compiled) > _MANY:
        _compiled.clear()
    built = _build(schema)
    # The schema is kept too: its id must not be reused while the entry lives.
    _compiled[id(schema)] = (schema, built)
    return built


def _build(schema: Schema) -> _Clean:
    if schema.get("x-kubernetes-embedded-resource"):
        schema = _embedded(schema)
    properties = schema.get("properties")
    extra = schema.get("additionalProperties")
    keep = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if properties is not None or (schema.get("type") == "object" and not isinstance(extra, dict) and extra is not True):
        return _object(properties or {}, keep or extra is True, extra if isinstance(extra, dict) else None)
    if isinstance(extra, dict):
        return _map(_cleaner(extra))
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        return _list(_cleaner(schema["items"]))
    return _copied


def _embedded(schema: Schema) -> Schema:
    names: Schema = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    meta = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {**schema, "properties": {**schema.get("properties", {}), **names, "metadata": meta}}


def _copied(value: Any, trail: Trail, unknown: list[Trail] | None) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else copy.deepcopy(value)


def _object(properties: dict[str, Schema], keep: bool, extra: Schema | None) -> _Clean:
    known = {name: _cleaner(each) for name, each in properties.items()}
    nullable = {name for name, each in properties.items() if each.get("nullable") or _is_open(each)}
    empty = {name for name, each in properties.items() if each.get("x-plait-empty-is-absent")}
    defaults = [(name, each["default"], known[name]) for name, each in properties.items() if "default" in each]
    other = _cleaner(extra) if extra is not None else None

    def clean(value: Any, trail: Trail, unknown: list[Trail] | None) -> Any:
        if not isinstance(value, dict):
            return value
        out: Schema = {}
        for name, each in value.items():
            step = known.get(name)
            if step is not None:
                # A null stands for "not set" unless the schema says it is a value; so does Go's "" of an enum.
                if (each is None and name not in nullable) or (each == "" and name in empty):
                    continue
                out[name] = step(each, (trail, name), unknown)
            elif other is not None:
                out[name] = other(each, (trail, name), unknown)
            elif keep:
                out[name] = _copied(each, trail, unknown)
            elif unknown is not None:
                unknown.append((trail, name))
        for name, default, step in defaults:
            if name not in out:
                out[name] = step(default, (trail, name), None)
        return out

    return clean


def _is_open(schema: Schema) -> bool:
    return bool(schema.get("x-kubernetes-preserve-unknown-fields")) and "type" not in schema


def _map(item: _Clean) -> _Clean:
    def clean(value: Any, trail: Trail, unknown: list[Trail] | None) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: item(each, (trail, name), unknown) for name, each in value.items()}

    return clean


def _list(item: _Clean) -> _Clean:
    def clean(value: Any, trail: Trail, unknown: list[Trail] | None) -> Any:
        if not isinstance(value, list):
            return value
        return [item(each, (trail, i), unknown) for i, each in enumerate(value)]

    return clean


def duplicate_keys(raw: bytes) -> list[str]:
    """Paths of keys that a JSON text states more than once, each once, in order of appearance."""
    found: list[str] = []

    def walk(value: Any, trail: Trail) -> Any:
        if isinstance(value, _Pairs):
            seen: set[str] = set()
            for name, each in value.pairs:
                here: Trail = (trail, name)
                if name in seen and (path := rendered(here)) not in found:
                    found.append(path)
                seen.add(name)
                walk(each, here)
        elif isinstance(value, list):
            for i, each in enumerate(value):
                walk(each, (trail, i))

    walk(json.loads(raw, object_pairs_hook=_Pairs), None)
    return found


class _Pairs:
    """A JSON object before repeated keys collapse."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs
