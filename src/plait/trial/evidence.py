"""The table of a demo: claims, whether each held, and the evidence as measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Check:
    claim: str
    held: bool
    evidence: str


@dataclass(slots=True)
class Evidence:
    """Collects checks in order; `tell` is called with each as soon as it is known."""

    tell: Callable[[Check], None]
    checks: list[Check] = field(default_factory=list)

    def check(self, claim: str, held: bool, evidence: str) -> bool:
        found = Check(claim, held, evidence)
        self.checks.append(found)
        self.tell(found)
        return held

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.held]
