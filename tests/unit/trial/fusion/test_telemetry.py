"""Cells are compared where everything was applied, and one other series is told with its cell."""

from __future__ import annotations

from plait.trial.fusion.corpus import Case, Seen
from plait.trial.fusion.expected import Expectation
from plait.trial.fusion.run import Finding
from plait.trial.fusion.telemetry import Cell, alike

OK = ("200", "http", "HOST.cells", "HOST", "cells")
DENIED = ("403", "http", "HOST.cells", "HOST", "cells")
MOVED = ("301", "http", "HOST.cells", "HOST", "cells")
WAYPOINT: Cell = ("ambient", "ambient+waypoint")
SIDECARS: Cell = ("sidecar", "sidecar")
PLAIN: Cell = ("none", "none")


def finding(cell: Cell, point: str, wanted: str = "applied") -> Finding:
    case = Case("route", "route", "/", lambda seen: True, lambda seen: True)
    return Finding(*cell, case, Expectation(wanted, point, ""), Seen(200, (), "", 0.0))  # type: ignore[arg-type]


FOUND = [finding(WAYPOINT, "waypoint"), finding(SIDECARS, "client sidecar"), finding(PLAIN, "nowhere", "not applied")]


def test_the_same_series_are_alike_whoever_reports_them() -> None:
    held, words = alike(
        FOUND,
        {
            WAYPOINT: {"waypoint": {OK: 2, DENIED: 1, MOVED: 1}},
            SIDECARS: {"source": {OK: 2, DENIED: 1}, "destination": {OK: 5}},
            PLAIN: {},
        },
    )
    assert held and words == "2 x 200, 1 x 403, by service, namespace and protocol, in 2 cells"


def test_one_other_number_or_label_is_told() -> None:
    for other in ({OK: 3, DENIED: 1}, {OK: 2, ("403", "http", "unknown", "HOST", "cells"): 1}):
        held, words = alike(FOUND, {WAYPOINT: {"waypoint": {OK: 2, DENIED: 1}}, SIDECARS: {"source": other}})
        assert not held and "sidecar -> sidecar" in words


def test_nothing_reported_is_not_alike() -> None:
    assert not alike(FOUND, {})[0]
    assert not alike(FOUND[:1], {WAYPOINT: {"waypoint": {OK: 1}}})[0]
