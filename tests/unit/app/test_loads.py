"""What a waypoint's Envoy counts -> how much it is used."""

from __future__ import annotations

from plait.app.loads import used

HTTP = "http.inbound-vip|80|http|web.shop.svc.cluster.local.downstream_"
OTHER = "http.inbound-vip|81|http|web.shop.svc.cluster.local.downstream_"
TUNNEL = "http.connect_terminate.downstream_"


def test_requests_of_all_services_count() -> None:
    found = {f"{HTTP}rq_total": 5, f"{OTHER}rq_total": 7, f"{HTTP}rq_active": 1, f"{OTHER}rq_active": 2}
    assert used({**found, f"{HTTP}cx_active": 3, f"{TUNNEL}rq_active": 3, f"{TUNNEL}rq_total": 4}) == (12, 3)


def test_an_http_connection_on_which_nothing_is_asked_is_not_in_use() -> None:
    assert used({f"{HTTP}rq_total": 9, f"{HTTP}cx_active": 2, f"{TUNNEL}rq_active": 2, f"{TUNNEL}rq_total": 2}) == (
        9,
        0,
    )


def test_a_tunnel_that_carries_something_else_is_in_use_as_long_as_it_is_open() -> None:
    assert used({f"{HTTP}cx_active": 2, f"{TUNNEL}rq_active": 3, f"{TUNNEL}rq_total": 3}) == (3, 1)
    assert used({}) == (0, 0)
