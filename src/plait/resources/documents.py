"""Text to documents: multi-document YAML or JSON, each with its index, source and line.

A broken document is a Problem and the others survive. Kinds and fields are not looked at here (`validate.py` does).
YAML is read as by Kubernetes: no timestamps, no sexagesimal numbers, keys are strings, a key given twice is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from plait.resources import codes
from plait.resources.problems import Problem

MAX_TEXT = 64 << 20
MAX_DOCUMENT_NODES = 2_000_000
MAX_DEPTH = 200

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sourced:
    """A document and where it was found. `index` counts the documents of its source from 0, empty ones left out."""

    index: int
    source: str
    line: int
    document: Document


@dataclass(frozen=True, slots=True)
class Broken:
    """A document that could not be read."""

    index: int
    source: str
    problem: Problem


class _Refused(Exception):
    """Why one document is not read: code, place, message."""

    def __init__(self, code: str, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.code, self.message, self.line = code, message, line


def read(text: str, source: str) -> tuple[list[Sourced], list[Problem]]:
    """The documents of a text, lists expanded, and what could not be read."""
    documents: list[Sourced] = []
    problems: list[Problem] = []
    for entry in entries(text, source):
        if isinstance(entry, Sourced):
            documents.append(entry)
        else:
            problems.append(entry.problem)
    return documents, problems


def entries(text: str, source: str) -> Iterator[Sourced | Broken]:
    """Documents and broken ones in the order of the text."""
    index = 0
    for line, value in _values(text):
        for item in [value] if isinstance(value, _Refused) else _expanded(value):
            if isinstance(item, _Refused):
                yield Broken(index, source, _problem(item, source, index, line))
            else:
                yield Sourced(index, source, line, item)
            index += 1


def _problem(refused: _Refused, source: str, index: int, line: int) -> Problem:
    where = f"line {refused.line or line}"
    return Problem(refused.code, "error", "Document", "", f"{source}[{index}]", where, refused.message)


def _expanded(value: Any) -> Iterator[Document | _Refused]:
    """The objects of one document: itself, or the items of a List."""
    if not isinstance(value, dict):
        shape = "a list" if isinstance(value, list) else f"a plain value ({type(value).__name__})"
        yield _Refused(codes.NOT_AN_OBJECT, f"the document is {shape}; write a mapping with apiVersion, kind, metadata")
        return
    kind, items = value.get("kind"), value.get("items")
    if not (isinstance(kind, str) and kind.endswith("List") and isinstance(items, list)):
        yield value
        return
    for item in items:
        if isinstance(item, dict) and kind != "List":
            item = {"apiVersion": value.get("apiVersion"), "kind": kind.removesuffix("List"), **item}
        yield from _expanded(item)


def _values(text: str) -> Iterator[tuple[int, Any]]:
    if len(text) > MAX_TEXT:
        yield 1, _Refused(codes.TOO_BIG, f"the text has {len(text)} characters; split it below {MAX_TEXT}")
        return
    text = text.removeprefix("\ufeff")
    if text.lstrip().startswith("{") and (values := _json_values(text)) is not None:
        yield from values
        return
    for line, chunk in _chunks(text):
        try:
            value = _yaml_value(chunk, line)
        except _Refused as refused:
            value = refused
        if value is not None:
            yield line, value


def _json_values(text: str) -> list[tuple[int, Any]] | None:
    """JSON documents one after another; None when it is not JSON after all (YAML may begin with a brace too)."""
    decoder = json.JSONDecoder(object_pairs_hook=_json_object, parse_constant=_no_constant)
    values: list[tuple[int, Any]] = []
    position = 0
    while (position := _skip(text, position)) < len(text):
        line = text.count("\n", 0, position) + 1
        try:
            value, position = decoder.raw_decode(text, position)
            _measure(value)
        except _Refused as refused:
            return [*values, (line, refused)]
        except RecursionError:
            return [*values, (line, _Refused(codes.TOO_BIG, f"the document nests deeper than {MAX_DEPTH} levels"))]
        except ValueError:
            return None
        values.append((line, value))
    return values


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _json_object(pairs: list[tuple[str, Any]]) -> Document:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Refused(codes.SYNTAX, f"the key {twice!r} is given twice; keep one")
    return found


def _no_constant(text: str) -> NoReturn:
    raise _Refused(codes.SYNTAX, f"{text} is not a JSON number; write a finite one")


_MARK = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """The text cut at document marks, which stand only at the start of a line whatever surrounds them."""
    position, line = 0, 1
    for mark in [*_MARK.finditer(text), None]:
        chunk = text[position : mark.start() if mark else len(text)]
        yield line, chunk
        line += chunk.count("\n")
        position = mark.end() if mark else len(text)


_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Safe):  # type: ignore[misc]
    """The safe loader with Kubernetes' idea of scalars, and no key twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, expression) for tag, expression in found if tag.rpartition(":")[2] in ("bool", "null", "merge")]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key_node.tag == "tag:yaml.org,2002:merge" or not isinstance(key_node, yaml.ScalarNode):
                continue
            if key_node.value in seen:
                message = f"the key {key_node.value!r} is given twice; keep one"
                raise _Refused(codes.SYNTAX, message, key_node.start_mark.line + 1)
            seen.add(key_node.value)
        made: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return made


def _int(loader: Any, node: Any) -> int:
    text = node.value.replace("_", "")
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if digits.startswith("0") and len(digits) > 1 and digits[1] in "01234567":
        return int(digits, 8) * sign
    return int(digits, 0) * sign


_INT = r"^[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$"
_FLOAT = r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(_INT), list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(_FLOAT), list("-+0123456789."))
_Loader.add_constructor("tag:yaml.org,2002:int", _int)


def _yaml_value(text: str, first_line: int) -> Any:
    """The value of one document; None when there is only white space and comments."""
    if not text.strip():
        return None
    lines = text.splitlines()
    if all(not line.strip() or line.lstrip().startswith("#") or line.startswith(("%", "...")) for line in lines):
        return None
    try:
        _check_depth(text)
        loader = _Loader(text)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
        return None if value is None else _measure(value)
    except _Refused as refused:
        raise _Refused(refused.code, refused.message, refused.line and refused.line + first_line - 1) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = first_line + mark.line if mark is not None else first_line
        message = f"not YAML: {getattr(error, 'problem', None) or error}; mend the text at this line"
        raise _Refused(codes.SYNTAX, message, line) from None
    except RecursionError:
        raise _Refused(codes.TOO_BIG, f"the document nests deeper than {MAX_DEPTH} levels") from None
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        # PyYAML's constructors let such errors out for values like !!int "x" or an unhashable key
        raise _Refused(codes.SYNTAX, f"not YAML we read: {error}; write the value in quotes") from None


def _check_depth(text: str) -> None:
    """Refuse deep nesting before the composer, which is written in C and recurses without a limit."""
    if text.count("[") + text.count("{") + text.count("- -") < MAX_DEPTH and "  " * MAX_DEPTH not in text:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _Refused(codes.TOO_BIG, f"the document nests deeper than {MAX_DEPTH} levels; flatten it")


def _measure(value: Any) -> Any:
    """The value with string keys; refuses what JSON cannot hold and what aliases blow up."""
    budget = MAX_DOCUMENT_NODES

    def walked(node: Any, depth: int) -> Any:
        nonlocal budget
        budget -= 1
        if budget < 0 or depth > MAX_DEPTH:
            raise _Refused(
                codes.TOO_BIG, f"more than {MAX_DOCUMENT_NODES} values or {MAX_DEPTH} levels; make it smaller"
            )
        if isinstance(node, dict):
            return {_key(key): walked(item, depth + 1) for key, item in node.items()}
        if isinstance(node, list):
            return [walked(item, depth + 1) for item in node]
        if isinstance(node, float) and (node != node or node in (float("inf"), float("-inf"))):
            raise _Refused(codes.SYNTAX, "a number is not finite; write a finite one")
        if node is None or isinstance(node, str | int | float):
            return node
        raise _Refused(codes.SYNTAX, f"a value of type {type(node).__name__} has no place in an object; use a string")

    return walked(value, 0)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int | float):
        return str(key)
    raise _Refused(codes.SYNTAX, "a key is not a string; write it in quotes")
