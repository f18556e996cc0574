"""Stages: where the time of a change went, from what each process on its way noted by the machine's monotonic clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

NAMES = (
    "stored by the API server",
    "heard by the control plane",
    "compiled",
    "projected, translated and encoded",
    "sent to the node's agent",
    "sent to Envoy",
    "acknowledged by Envoy",
    "first answer by it",
)
"""In the order in which a change passes them."""


@dataclass(frozen=True, slots=True)
class Noted:
    """Moments that processes noted, each list in the order of time."""

    runs: Sequence[Sequence[float]] = ()
    """Of the control plane: heard, began, compiled, told."""
    relayed: Sequence[tuple[float, float]] = ()
    """Control plane to agent: sent, answered."""
    applied: Sequence[tuple[float, float]] = ()
    """Agent to Envoy: sent, answered."""


@dataclass(slots=True)
class Stages:
    """Seconds from sending a write until each stage was passed, for each change that can be followed."""

    took: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in NAMES})

    def add(self, sent: float, stored: float, seen: float, noted: Noted) -> None:
        """A change is in the first run that heard anything after it was sent, and in what was sent after that."""
        run = _first(noted.runs, 0, sent)
        relayed = _first(noted.relayed, 0, run[2]) if run else None
        applied = _first(noted.applied, 0, relayed[0]) if relayed else None
        if run and relayed and applied:
            moments = (stored, run[0], run[2], run[3], relayed[0], *applied, seen)
            for name, at in zip(NAMES, moments, strict=True):
                self.took[name].append(at - sent)


def _first(found: Iterable[Sequence[float]], column: int, after: float) -> Sequence[float] | None:
    return next((each for each in found if each[column] >= after), None)
