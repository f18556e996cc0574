"""Numbers of several generations on one page."""

from __future__ import annotations

from plait.proxy.merging import Ended, read

NEW = """# TYPE istio_tcp_connections_opened_total counter
istio_tcp_connections_opened_total{source="a b",to="x"} 5
# TYPE active gauge
active{} 1
# TYPE took histogram
took_bucket{le="1"} 2
took_sum{} 1.5
took_count{} 2
"""
OLD = NEW.replace("} 5", "} 40").replace("active{} 1", "active{} 7")
SERIES = 'istio_tcp_connections_opened_total{source="a b",to="x"}'


def value(page: str, series: str) -> float:
    (found,) = [samples[series] for _, samples in read(page).values() if series in samples]
    return found


def test_one_generation_alone_is_shown_as_it_is() -> None:
    assert Ended().merged(NEW, ["", ""]) == NEW


def test_generations_that_live_side_by_side_add_up() -> None:
    page = Ended().merged(NEW, [OLD])
    assert value(page, SERIES) == 45 and value(page, "active{}") == 8
    assert value(page, 'took_bucket{le="1"}') == 4 and value(page, "took_sum{}") == 3.0


def test_no_counter_falls_when_a_generation_ends_but_its_gauges_go() -> None:
    ended = Ended()
    before = ended.merged(NEW, [OLD])
    ended.add(OLD)
    after = ended.merged(NEW, [])
    assert value(after, SERIES) == value(before, SERIES) and value(after, "took_count{}") == 4
    assert value(after, "active{}") == 1


def test_the_merged_page_says_the_type_of_each_metric() -> None:
    page = Ended().merged(NEW, [OLD])
    assert "# TYPE took histogram" in page and "# TYPE active gauge" in page
