"""What the page says where Envoy says nothing."""

from __future__ import annotations

from plait.proxy.metrics import known, renamed

PAGE = renamed(
    """# TYPE envoy_istio_requests_total counter
envoy_istio_requests_total{source_workload="a",destination_workload="",response_code="403",grpc_response_status=""} 2
envoy_istio_requests_total{source_workload="a",destination_workload="b",response_code="403",grpc_response_status=""} 5
# TYPE envoy_other counter
envoy_other{destination_workload=""} 1
"""
)


def test_nobody_was_chosen_so_the_destination_is_unknown() -> None:
    assert known(PAGE) == PAGE.replace(
        'istio_requests_total{source_workload="a",destination_workload=""',
        'istio_requests_total{source_workload="a",destination_workload="unknown"',
    )


def test_a_series_that_says_unknown_already_takes_the_number_in() -> None:
    assert known(PAGE.replace('"b"', '"unknown"')) == (
        "# TYPE istio_requests_total counter\n"
        'istio_requests_total{source_workload="a",destination_workload="unknown",response_code="403",'
        'grpc_response_status=""} 7\n'
        '# TYPE envoy_other counter\nenvoy_other{destination_workload=""} 1\n'
    )


def test_a_page_without_nobody_stays_as_it_is() -> None:
    page = PAGE.replace('=""', '="x"')
    assert known(page) is page
