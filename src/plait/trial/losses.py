"""What `bench l4 --faults` is asked for and what it reports, shared by its two parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from plait.app import processes
from plait.trial.scene import Scene


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much of everything. `parts`: which of `bench_faults.PARTS`; () for all."""

    connections: int = 200
    rate: float = 500.0
    cycles: int = 200
    reuses: int = 1000
    starts: int = 1000
    local_pods: tuple[int, ...] = (1, 20, 100)
    parts: tuple[str, ...] = ()


QUICK = Wanted(cycles=10, reuses=50, starts=50, local_pods=(1, 20))


@dataclass(slots=True)
class Report:
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, what: str, tried: int, lost: int, note: str = "") -> None:
        self.rows.append({"what": what, "of": tried, "lost": lost, "note": note})

    def say(self, what: str, note: str) -> None:
        """A row of what is measured rather than lost."""
        self.rows.append({"what": what, "of": None, "lost": None, "note": note})


def agent(scene: Scene, node: str) -> int:
    """The pid of a node's agent; 0 while there is none."""
    found = [each.id for each in processes.load(scene.layout) if each.name == node]
    return found[0].pid if found and found[0].alive() else 0
