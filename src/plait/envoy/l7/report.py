"""What a translation could not say to Envoy: refusals by object and field, collected while documents are made.

Envoy's room does not know the documents people wrote, so a refusal names its object as `Kind/namespace/name` (or the
proxy) and whoever called turns it into a Problem.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """`source` is `Kind/namespace/name`; `message` ends with the way out."""

    source: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.source}: {self.path}: {self.message}"


@dataclass(slots=True)
class Report:
    """Refusals in the order they were met, each once."""

    found: list[Refusal] = field(default_factory=list)

    def refuse(self, source: str, path: str, message: str) -> None:
        refusal = Refusal(source, path, message)
        if refusal not in self.found:
            self.found.append(refusal)
