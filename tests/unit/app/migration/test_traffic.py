"""Rates by workload out of pages as proxies show them."""

from __future__ import annotations

from plait.app.migration.traffic import Traffic, between, counted

LABELS = {
    "destination_workload": "cart",
    "destination_workload_namespace": "shop",
    "source_workload": "x",
    "source_workload_namespace": "y",
}


def page(requests: int, connections: int) -> str:
    lines = ["# TYPE other gauge", "other 7", "# TYPE istio_requests_total counter"]
    lines += [_line("istio_requests_total", requests, reporter=side) for side in ("source", "destination")]
    lines.append("# TYPE istio_tcp_connections_opened_total counter")
    till = {"reporter": "destination", "destination_workload": "till"}
    lines.append(_line("istio_tcp_connections_opened_total", connections, **till))
    return "\n".join([*lines, ""])


def _line(name: str, value: int, **labels: str) -> str:
    said = ",".join(f'{key}="{each}"' for key, each in {**LABELS, **labels}.items())
    return f"{name}{{{said}}} {value}"


def test_each_side_counts_for_itself() -> None:
    found = between(counted([page(100, 5)]), counted([page(300, 25)]), 10.0)
    assert found["shop", "cart"] == Traffic(requests_in=20.0)
    assert found["y", "x"] == Traffic(requests_out=20.0)
    assert found["shop", "till"] == Traffic(connections_in=2.0)


def test_pages_of_several_pods_add_up_and_a_new_proxy_counts_from_nothing() -> None:
    assert counted([page(1, 1), page(2, 2)])["requests", "in", ("shop", "cart")] == 3.0
    again = between(counted([page(100, 0)]), counted([page(10, 0)]), 5.0)
    assert again["shop", "cart"].requests_in == 2.0
