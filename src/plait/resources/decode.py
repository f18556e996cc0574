"""Document to typed object, fast. What does not fit is told with its full path; an object that still reads is returned.

Unknown fields do not stop a read (a newer API may have them): they are left out and told as errors of the document.
"""

from __future__ import annotations

from typing import Any

import msgspec

from plait.resources import codes, kinds, structure
from plait.resources.kinds import Kind
from plait.resources.meta import Resource
from plait.resources.problems import Problem, Severity
from plait.resources.registry import MESH, TYPES
from plait.resources.schema import shared_schema

Document = dict[str, Any]


def decode(document: Document) -> tuple[Resource | None, tuple[Problem, ...]]:
    """The typed object, or None when it cannot be read, and every structural problem."""
    kind = kinds.by_document(document)
    if kind is None or kind not in TYPES:
        return None, (problem(document, codes.UNKNOWN_KIND, "kind", unknown_kind(document)),)
    try:
        return msgspec.convert(document, TYPES[kind]), ()
    except msgspec.ValidationError as error:
        return _slowly(document, kind, error)
    except (RecursionError, ValueError, TypeError) as error:
        return None, (problem(document, codes.WRONG_TYPE, "", f"cannot be read: {error}; mend the document"),)


def _slowly(
    document: Document, kind: Kind, error: msgspec.ValidationError
) -> tuple[Resource | None, tuple[Problem, ...]]:
    """Drop nulls and unknown fields and try again; tell all that is wrong."""
    if kind not in MESH:
        trimmed, findings = _without_nulls(document), []
    else:
        schema = shared_schema(kind)
        findings = list(structure.check(document, schema, ""))
        trimmed = structure.trimmed(document, schema)
    try:
        found: Resource | None = msgspec.convert(trimmed, TYPES[kind])
    except msgspec.ValidationError as again:
        found, error = None, again
    problems = tuple(problem(document, f.code, f.path, f.message) for f in findings)
    if found is None and not problems:
        text, _, path = str(error).partition(" - at `$")
        where = path.rstrip("`").removeprefix(".")
        problems = (problem(document, codes.WRONG_TYPE, where, f"{text}; write the type that is expected"),)
    return found, problems


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def unknown_kind(document: Document) -> str:
    """What is said of a document whose kind is not served."""
    version, name = document.get("apiVersion"), document.get("kind")
    if not isinstance(version, str) or not isinstance(name, str):
        return "apiVersion and kind must both be given as strings; add them"
    same = [kind for kind in kinds.ALL if kind.kind == name]
    group = version.rpartition("/")[0]
    if exact := [kind for kind in same if kind.group == group]:
        served = ", ".join(exact[0].api_version(v) for v in exact[0].versions)
        return f"{version} does not serve {name}; use {served}"
    if same:
        return f"{name} is not a kind of {version}; use {' or '.join(k.api_version() for k in same)}"
    names = tuple(sorted({kind.kind for kind in kinds.ALL}))
    return f"{version} {name} is not a kind we know; {structure.unknown(name, names).partition('; ')[2]}"


def problem(document: Document, code: str, path: str, message: str, severity: Severity = "error") -> Problem:
    """A problem of a document, whatever state its metadata is in."""
    found = document.get("metadata")
    metadata: dict[str, Any] = found if isinstance(found, dict) else {}
    name = metadata.get("name") or metadata.get("generateName") or ""
    return Problem(
        code, severity, _text(document.get("kind")), _text(metadata.get("namespace")), _text(name), path, message
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
