"""Is a document right? Structure, metadata, then the rules of its kind. Never raises, whatever the document holds."""

from __future__ import annotations

from typing import Any

from plait.resources import codes, kinds, metadata, structure
from plait.resources.decode import decode, problem, unknown_kind
from plait.resources.problems import Problem, Severity, ordered
from plait.resources.registry import KUBERNETES, MESH
from plait.resources.rules import table
from plait.resources.schema import shared_schema


def validate(document: dict[str, Any]) -> tuple[Problem, ...]:
    """All problems of one document, worst first."""
    kind = kinds.by_document(document)
    if kind is None:
        return (problem(document, codes.UNKNOWN_KIND, "kind", unknown_kind(document)),)
    try:
        return ordered(_problems(document, kind))
    except RecursionError:
        return (problem(document, codes.TOO_BIG, "", "the document nests too deeply; flatten it"),)


def _problems(document: dict[str, Any], kind: kinds.Kind) -> list[Problem]:
    found = [problem(document, f.code, f.path, f.message) for f in metadata.check(document.get("metadata"), kind)]
    if kind not in MESH:
        return found + (list(decode(document)[1]) if kind in KUBERNETES and not found else [])
    for finding in structure.check(document, shared_schema(kind), ""):
        if not finding.path.startswith("metadata"):
            found.append(problem(document, finding.code, finding.path, finding.message))
    typed, unread = decode(document)
    if typed is None:
        return found or list(unread)
    for finding in table.findings(kind, typed):
        severity: Severity = "warning" if finding.code in table.WARNINGS else "error"
        found.append(problem(document, finding.code, finding.path, finding.message, severity))
    return found
