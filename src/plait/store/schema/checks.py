"""Do the values of a document fit its schema? Types, enums, ranges, patterns, required, list keys, CEL rules.

Reports in kube-apiserver's words, so that clients and people recognise them. Does not prune or default (fields.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Union

from plait.store import expressions

Schema = dict[str, Any]
Trail = Union[None, "tuple[Trail, str | int]"]
_PLAIN = re.compile(r"[A-Za-z_$][-A-Za-z0-9_$]*\Z")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: its path, what is wrong in kube-apiserver's words, and the machine reason of the cause."""

    path: str
    message: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def rendered(trail: Trail) -> str:
    """`spec.containers[0].name`; keys that are no plain names stand in brackets."""
    steps: list[str | int] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    out = ""
    for step in reversed(steps):
        if isinstance(step, int) or not (_PLAIN.match(step) or not out):
            out += f"[{step}]"
        else:
            out += f".{step}" if out else step
    return out


_Report = Callable[[Trail, str, str], None]
_Check = Callable[[Any, Any, Trail, _Report], None]  # value, old value (None: no old value), where, report
_compiled: dict[int, tuple[Schema, _Check]] = {}


def check(document: Schema, schema: Schema, *, old: Schema | None = None) -> list[FieldError]:
    """Everything wrong with the document's values. With `old`, rules about changes (`oldSelf`) are run too."""
    errors: list[FieldError] = []

    def report(trail: Trail, message: str, reason: str) -> None:
        errors.append(FieldError(rendered(trail), message, reason))

    _checker(schema)(document, old, None, report)
    return errors


def unusable_rules(schema: Schema) -> Iterator[tuple[str, str]]:
    """(rule, why) of CEL rules in a schema that do not compile here; they are not enforced."""
    for rule in schema.get("x-kubernetes-validations") or ():
        try:
            expressions.program(rule["rule"])
        except expressions.ExpressionError as error:
            yield rule["rule"], str(error)
    children = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    for each in children:
        if isinstance(each, dict):
            yield from unusable_rules(each)


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
    tests = [*_value_tests(schema)]
    rules = [rule for each in schema.get("x-kubernetes-validations") or () if (rule := _rule(each)) is not None]
    combined = _combinations(schema)

    def run(value: Any, old: Any, trail: Trail, report: _Report) -> None:
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
        for rule in rules:
            rule(value, old, trail, report)

    return run


_Shape = Callable[[Any, Any, Trail, _Report], bool]
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

    def scalar(value: Any, old: Any, trail: Trail, report: _Report) -> bool:
        if isinstance(value, wanted) and (kind == "boolean" or not isinstance(value, bool)):
            return True
        if kind == "integer" and isinstance(value, float) and value.is_integer():
            return True
        _wrong_type(value, kind, trail, report)
        return False

    return scalar


def _wrong_type(value: Any, kind: str, trail: Trail, report: _Report) -> None:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", list: "array"}
    shown = names.get(type(value), "null")
    report(trail, f'Invalid value: "{shown}": must be of type {kind}: "{shown}"', "FieldValueTypeInvalid")


def _int_or_string(quantity: bool) -> _Shape:
    def shape(value: Any, old: Any, trail: Trail, report: _Report) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, str, float) if quantity else (int, str)):
            _wrong_type(value, "integer,string", trail, report)
            return False
        if quantity and isinstance(value, str) and not _QUANTITY.match(value):
            report(trail, f"Invalid value: {json.dumps(value)}: {_QUANTITY_HINT}", "FieldValueInvalid")
            return False
        return True

    return shape


_QUANTITY = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?\Z")
_QUANTITY_HINT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def _object(schema: Schema) -> _Shape:
    known = {name: _checker(each) for name, each in (schema.get("properties") or {}).items()}
    extra = schema.get("additionalProperties")
    other = _checker(extra) if isinstance(extra, dict) else None
    required = tuple(schema.get("required") or ())
    least, most = schema.get("minProperties"), schema.get("maxProperties")

    def shape(value: Any, old: Any, trail: Trail, report: _Report) -> bool:
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
            report(trail, f"Invalid value: {len(value)}: should have at least {least} properties", "FieldValueInvalid")
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

    def shape(value: Any, old: Any, trail: Trail, report: _Report) -> bool:
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
                report(trail, message, "FieldValueInvalid")
            else:
                report(
                    trail, "Required value" if least == 1 else f"must have at least {least} items", "FieldValueRequired"
                )
        if most is not None and len(value) > most:
            report(trail, f"Too many: {len(value)}: must have at most {most} items", "FieldValueTooMany")
        return True

    return shape


_Test = Callable[[Any, Trail, _Report], None]


def _value_tests(schema: Schema) -> Iterator[_Test]:
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


def _enum(values: list[Any], empty: bool) -> _Test:
    allowed = [*values, ""] if empty else list(values)
    shown = ", ".join(json.dumps(each) for each in values)

    def test(value: Any, trail: Trail, report: _Report) -> None:
        if value not in allowed:
            report(
                trail, f"Unsupported value: {json.dumps(value)}: supported values: {shown}", "FieldValueNotSupported"
            )

    return test


def _pattern(text: str) -> _Test:
    try:
        # Go's final $ does not match before a line feed, Python's does; Go's \z is Python's \Z.
        closed = text[:-1] + r"\Z" if text.endswith("$") and not text.endswith(r"\$") else text
        search = re.compile(closed.replace(r"\z", r"\Z")).search
    except re.error:
        return lambda value, trail, report: None

    def test(value: Any, trail: Trail, report: _Report) -> None:
        if isinstance(value, str) and search(value) is None:
            message = f"Invalid value: {json.dumps(value)}: should match '{text}'"
            report(trail, message, "FieldValueInvalid")

    return test


def _bound(key: str, bound: float, exclusive: bool) -> _Test:
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

    def test(value: Any, trail: Trail, report: _Report) -> None:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and wrong(value):
            report(trail, f"Invalid value: {json.dumps(value)}: should be {text} {bound}", "FieldValueInvalid")

    return test


def _length(least: int | None, most: int | None) -> _Test:
    def test(value: Any, trail: Trail, report: _Report) -> None:
        if not isinstance(value, str):
            return
        if least is not None and len(value) < least:
            message = f"Invalid value: {json.dumps(value)}: should be at least {least} chars long"
            report(trail, message, "FieldValueInvalid")
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


def _format(name: str) -> _Test:
    good = _FORMATS[name]

    def test(value: Any, trail: Trail, report: _Report) -> None:
        if not good(value):
            message = f"Invalid value: {json.dumps(value)}: must be of format {name}"
            report(trail, message, "FieldValueInvalid")

    return test


def _combinations(schema: Schema) -> list[_Check]:
    out: list[_Check] = []
    if schema.get("x-kubernetes-int-or-string"):
        return out
    for each in schema.get("allOf") or ():
        out.append(_checker(_loose(each)))
    for key, most in (("anyOf", 99), ("oneOf", 1)):
        if schema.get(key):
            out.append(_some(key, [_checker(_loose(each)) for each in schema[key]], most))
    if isinstance(schema.get("not"), dict):
        out.append(_not(_checker(_loose(schema["not"]))))
    return out


def _loose(schema: Schema) -> Schema:
    """A branch of allOf/anyOf/oneOf/not only adds value tests: where it names no type, it judges none."""
    return schema


def _fits(step: _Check, value: Any, old: Any, trail: Trail) -> bool:
    wrong: list[str] = []
    step(value, old, trail, lambda trail, message, reason: wrong.append(message))
    return not wrong


def _some(key: str, branches: list[_Check], most: int) -> _Check:
    def test(value: Any, old: Any, trail: Trail, report: _Report) -> None:
        count = sum(1 for each in branches if _fits(each, value, old, trail))
        if count == 0:
            report(trail, f'Invalid value: "": {_named(trail)} must validate at least one schema ({key})', _INVALID)
        elif count > most:
            report(trail, f'Invalid value: "": {_named(trail)} must validate one and only one schema ({key})', _INVALID)

    return test


_INVALID = "FieldValueInvalid"


def _named(trail: Trail) -> str:
    return f'"{rendered(trail)}"'


def _not(branch: _Check) -> _Check:
    def test(value: Any, old: Any, trail: Trail, report: _Report) -> None:
        if _fits(branch, value, old, trail):
            report(trail, f'Invalid value: "": {_named(trail)} must not validate the schema (not)', _INVALID)

    return test


_ABOUT_CHANGE = re.compile(r"\boldSelf\b")


def _rule(rule: Schema) -> _Check | None:
    """One CEL rule; None when it does not compile here (unusable_rules tells which those are)."""
    source = rule["rule"]
    try:
        expressions.program(source)
    except expressions.ExpressionError:
        return None
    change = _ABOUT_CHANGE.search(source) is not None
    reason = rule.get("reason") or _INVALID

    def run(value: Any, old: Any, trail: Trail, report: _Report) -> None:
        if change and old is None:
            return
        variables = {"self": value, "oldSelf": old} if change else {"self": value}
        try:
            good = expressions.evaluate(source, variables)
            told = "failed rule: " + source.strip()
        except expressions.ExpressionError as error:
            good, told = False, f"rule evaluation error: {error}"
        if good is True:
            return
        message = rule.get("message") or told
        if text := rule.get("messageExpression"):
            try:
                message = str(expressions.evaluate(text, variables))
            except expressions.ExpressionError:
                pass
        shown = _type_name(value) if isinstance(value, (dict, list)) else json.dumps(value)
        report(trail, f"Invalid value: {shown}: {message}", reason)

    return run


def _type_name(value: Any) -> str:
    return '"object"' if isinstance(value, dict) else '"array"'
