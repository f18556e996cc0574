"""Do proxies that apply the same say the same of it? The series of `istio_requests_total`, cell against cell.

Compared are the cells in which every case was applied: by the waypoint, or by the client's sidecar together with the
server's, where the client's reports what its user got.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from plait.model.enforcement import ClientMode, ServerMode
from plait.trial.fusion.counters import Series
from plait.trial.fusion.run import Finding

Cell = tuple[ClientMode, ServerMode]
Reported = Mapping[Cell, Mapping[str, Mapping[Series, int]]]
_REPORTERS = {"waypoint": "waypoint", "client sidecar": "source"}
_ANSWERED = frozenset({"301"})
"""Answers of a route itself: no service was chosen, so a client's sidecar names none where a waypoint knows its own."""


def alike(findings: Iterable[Finding], reported: Reported) -> tuple[bool, str]:
    """Whether, and what was compared or differs."""
    seen: dict[Cell, Counter[Series]] = {}
    for cell, point in _whole(findings).items():
        series = reported.get(cell, {}).get(_REPORTERS[point], {})
        seen[cell] = Counter({each: count for each, count in series.items() if each[0] not in _ANSWERED})
    if len(seen) < 2:
        return False, "fewer than two cells applied everything"
    (first, wanted), *others = seen.items()
    for cell, found in others:
        if found != wanted:
            return False, f"{_named(first)} {dict(wanted - found)}, {_named(cell)} {dict(found - wanted)}"
    codes = ", ".join(f"{count} x {series[0]}" for series, count in sorted(wanted.items()))
    return bool(wanted), f"{codes}, by service, namespace and protocol, in {len(seen)} cells"


def _whole(findings: Iterable[Finding]) -> dict[Cell, str]:
    """Cells whose cases were all applied, with the point that applied the routes."""
    cells: dict[Cell, list[Finding]] = {}
    for each in findings:
        cells.setdefault((each.client, each.server), []).append(each)
    found = {}
    for cell, those in cells.items():
        if all(each.wanted.wanted == "applied" for each in those):
            points = {each.wanted.point for each in those if each.case.kind == "route"}
            found[cell] = points.pop()
    return found


def _named(cell: Cell) -> str:
    return " -> ".join(cell)
