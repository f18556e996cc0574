"""Do the values of a document fit its schema? Types, enums, ranges, patterns, required, list keys, CEL rules.

Reports in kube-apiserver's words, so that clients and people recognise them. Does not prune or default (fields.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from plait.store.schema import rules, values
from plait.store.schema.field_errors import INVALID, FieldError, Report, Schema, Trail, rendered

_Check = Callable[[Any, Any, Trail, Report], None]  # value, old value (None: no old value), where, report
_compiled: dict[int, tuple[Schema, _Check]] = {}


def check(document: Schema, schema: Schema, *, old: Schema | None = None) -> list[FieldError]:
    """Everything wrong with the document's values. With `old`, rules about changes (`oldSelf`) are run too."""
    errors: list[FieldError] = []

    def report(trail: Trail, message: str, reason: str) -> None:
        errors.append(FieldError(rendered(trail), message, reason))

    _checker(schema)(document, old, None, report)
    return errors


def _checker(schema: Schema) -> _Check:
    found = _compiled.get(id(schema))
    if found is not None:
        return found[1]
    if len(_compiled) > 20_000:
        _compiled.clear()
    built = _build(schema)
    _compiled[id(schema)] = (schema, built)
    return built


def _build(schema: Schema) -> _Check:
    shape = _shape(schema)
    tests = list(values.tests(schema))
    cel = [rule for each in schema.get("x-kubernetes-validations") or () if (rule := rules.compiled(each)) is not None]
    combined = _combinations(schema)

    def run(value: Any, old: Any, trail: Trail, report: Report) -> None:
        if value is None:
            if not schema.get("nullable") and "type" in schema:
                report(
                    trail, f'Invalid value: "null": must be of type {schema["type"]}: "null"', "FieldValueTypeInvalid"
                )
            return
        if not shape(value, old, trail, report):
            return
        for test in tests:
            test(value, trail, report)
        for each in combined:
            each(value, old, trail, report)
        for rule in cel:
            rule(value, old, trail, report)

    return run


_Shape = Callable[[Any, Any, Trail, Report], bool]
_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "array": (list,),
}


def _shape(schema: Schema) -> _Shape:
    """The type test, which also walks into objects and lists; false when the value has the wrong type."""
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        return _int_or_string(schema.get("format") == "quantity")
    if kind == "object" or "properties" in schema or isinstance(schema.get("additionalProperties"), dict):
        return _object(schema)
    if kind == "array":
        return _array(schema)
    if kind is None:
        return lambda value, old, trail, report: True
    wanted = _PYTHON[kind]

    def scalar(value: Any, old: Any, trail: Trail, report: Report) -> bool:
        if isinstance(value, wanted) and (kind == "boolean" or not isinstance(value, bool)):
            return True
        if kind == "integer" and isinstance(value, float) and value.is_integer():
            return True
        _wrong_type(value, kind, trail, report)
        return False

    return scalar


def _wrong_type(value: Any, kind: str, trail: Trail, report: Report) -> None:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", list: "array"}
    shown = names.get(type(value), "null")
    report(trail, f'Invalid value: "{shown}": must be of type {kind}: "{shown}"', "FieldValueTypeInvalid")


def _int_or_string(quantity: bool) -> _Shape:
    def shape(value: Any, old: Any, trail: Trail, report: Report) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, str, float) if quantity else (int, str)):
            _wrong_type(value, "integer,string", trail, report)
            return False
        if quantity and isinstance(value, str) and (wrong := values.quantity_error(value)):
            report(trail, wrong, INVALID)
            return False
        return True

    return shape


def _object(schema: Schema) -> _Shape:
    known = {name: _checker(each) for name, each in (schema.get("properties") or {}).items()}
    extra = schema.get("additionalProperties")
    other = _checker(extra) if isinstance(extra, dict) else None
    required = tuple(schema.get("required") or ())
    least, most = schema.get("minProperties"), schema.get("maxProperties")

    def shape(value: Any, old: Any, trail: Trail, report: Report) -> bool:
        if not isinstance(value, dict):
            _wrong_type(value, "object", trail, report)
            return False
        before = old if isinstance(old, dict) else {}
        for name in required:
            if name not in value:
                report((trail, name), "Required value", "FieldValueRequired")
        for name, each in value.items():
            step = known.get(name, other)
            if step is not None:
                step(each, before.get(name), (trail, name), report)
        if least is not None and len(value) < least:
            report(trail, f"Invalid value: {len(value)}: should have at least {least} properties", INVALID)
        if most is not None and len(value) > most:
            report(trail, f"Too many: {len(value)}: must have at most {most} items", "FieldValueTooMany")
        return True

    return shape


def _array(schema: Schema) -> _Shape:
    item = _checker(schema["items"]) if isinstance(schema.get("items"), dict) else None
    keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
    kind = schema.get("x-kubernetes-list-type")
    # Some built-in lists have keys only for merging: repeated container ports and variables are legal.
    unique = kind in ("map", "set") and schema.get("x-plait-duplicates") != "allowed"
    least, most = schema.get("minItems"), schema.get("maxItems")

    def identity(value: Any) -> Any:
        if kind == "map" and isinstance(value, dict):
            return json.dumps([value.get(key) for key in keys])
        return json.dumps(value, sort_keys=True)

    def shape(value: Any, old: Any, trail: Trail, report: Report) -> bool:
        if not isinstance(value, list):
            _wrong_type(value, "array", trail, report)
            return False
        before: dict[str, Any] = {}
        if kind == "map" and isinstance(old, list):
            before = {identity(each): each for each in old}
        if item is not None:
            for i, each in enumerate(value):
                item(each, before.get(identity(each)) if before else None, (trail, i), report)
        if unique:
            seen: set[str] = set()
            for i, each in enumerate(value):
                mark = identity(each)
                if mark in seen:
                    shown = {k: each.get(k) for k in keys if k in each} if kind == "map" else each
                    report((trail, i), f"Duplicate value: {json.dumps(shown)}", "FieldValueDuplicate")
                seen.add(mark)
        if least is not None and len(value) < least:
            if value:
                message = f"Invalid value: {len(value)}: should have at least {least} items"
                report(trail, message, INVALID)
            else:
                report(
                    trail, "Required value" if least == 1 else f"must have at least {least} items", "FieldValueRequired"
                )
        if most is not None and len(value) > most:
            report(trail, f"Too many: {len(value)}: must have at most {most} items", "FieldValueTooMany")
        return True

    return shape


def _combinations(schema: Schema) -> list[_Check]:
    out: list[_Check] = []
    if schema.get("x-kubernetes-int-or-string"):
        return out
    for each in schema.get("allOf") or ():
        out.append(_checker(each))
    for key, most in (("anyOf", 99), ("oneOf", 1)):
        if schema.get(key):
            out.append(_some(key, [_checker(each) for each in schema[key]], most))
    if isinstance(schema.get("not"), dict):
        out.append(_not(_checker(schema["not"])))
    return out


def _fits(step: _Check, value: Any, old: Any, trail: Trail) -> bool:
    wrong: list[str] = []
    step(value, old, trail, lambda trail, message, reason: wrong.append(message))
    return not wrong


def _some(key: str, branches: list[_Check], most: int) -> _Check:
    def test(value: Any, old: Any, trail: Trail, report: Report) -> None:
        count = sum(1 for each in branches if _fits(each, value, old, trail))
        if count == 0:
            report(trail, f'Invalid value: "": {_named(trail)} must validate at least one schema ({key})', INVALID)
        elif count > most:
            report(trail, f'Invalid value: "": {_named(trail)} must validate one and only one schema ({key})', INVALID)

    return test


def _named(trail: Trail) -> str:
    return f'"{rendered(trail)}"'


def _not(branch: _Check) -> _Check:
    def test(value: Any, old: Any, trail: Trail, report: Report) -> None:
        if _fits(branch, value, old, trail):
            report(trail, f'Invalid value: "": {_named(trail)} must not validate the schema (not)', INVALID)

    return test
