"""Problem: bad input as a value. Every room that reads what people wrote returns these instead of raising."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
_RANK = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one object. `path` is the field (`spec.rules[0].from`), `message` ends with the way out.

    `code` is Istio's message code (IST0101 …) where one exists, else PLT followed by four digits.
    """

    code: str
    severity: Severity
    kind: str
    namespace: str
    name: str
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.severity}: {self.code} {self.kind} {where}: {self.path}: {self.message}"


def ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Without repeats, worst first, then by object and path: the order in which every command prints them."""
    return tuple(
        sorted(set(problems), key=lambda p: (_RANK[p.severity], p.kind, p.namespace, p.name, p.path, p.code, p.message))
    )
