"""What is read out of two looks at the proxies: who acted, and what was reported of one service."""

from __future__ import annotations

from plait.trial.fusion.counters import Numbers, _series, acted, reported

TEXT = """# TYPE istio_requests_total counter
istio_requests_total{reporter="source",source_workload="a",destination_service="s-one.cells",response_code="200"} 2
istio_requests_total{reporter="source",source_workload="b",destination_service="s-one.cells",response_code="200"} 3
istio_requests_total{reporter="destination",destination_service="s-two.cells",response_code="403"} 1
istio_request_bytes_sum{reporter="source"} 9
"""


def test_series_that_differ_in_other_labels_are_one() -> None:
    found = dict(_series(TEXT))
    assert found["source", "200", "", "s-one.cells", "", ""] == 5
    assert len(found) == 2


def test_only_proxies_whose_counter_rose_acted() -> None:
    before = {"one": Numbers({"a.refused": 1, "b.other": 0}, {}), "two": Numbers({"a.refused": 4}, {})}
    risen, new = Numbers({"a.refused": 3, "b.other": 9}, {}), Numbers({"a.refused": 2}, {})
    after = {"one": risen, "two": before["two"], "new": new}
    assert acted(before, after, r"refused$") == (("new", 2), ("one", 2))


def test_requests_of_a_cell_are_what_was_added_about_its_service() -> None:
    one, two = ("source", "200", "http", "s-one.cells", "s-one", "cells"), ("source", "200", "http", "x", "x", "cells")
    before = {"proxy": Numbers({}, {one: 1, two: 1})}
    after = {"proxy": Numbers({}, {one: 4, two: 2})}
    assert reported(before, after, "s-one") == {"source": {("200", "http", "HOST.cells", "HOST", "cells"): 3}}
