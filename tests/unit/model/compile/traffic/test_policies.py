from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plait.model.compile.traffic import policies
from plait.model.compile.traffic.report import Report
from plait.model.traffic import TrafficPolicy
from plait.resources.networking import destination_rule as written

_COOKIE = {"name": "a", "ttl": "0s", "attributes": [{"name": "b", "value": "c"}]}


def policy(**spec: Any) -> tuple[TrafficPolicy, list[str]]:
    report = Report("DestinationRule", "shop", "web")
    found = policies.policy(msgspec.convert(spec, written.TrafficPolicy, strict=False), "spec.trafficPolicy", report)
    return found, [each.path.removeprefix("spec.trafficPolicy.") for each in report.problems]


def hashed(**how: Any) -> dict[str, Any]:
    return {"loadBalancer": {"consistentHash": how}}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"connectionPool": {"http": {"http2KeepAlive": {"interval": "1us"}}}}, "http2KeepAlive.interval"),
        ({"connectionPool": {"tcp": {"connectTimeout": "9999999h"}}}, "tcp.connectTimeout"),
        ({"outlierDetection": {"consecutiveErrors": -1}}, "consecutiveErrors"),
        ({"connectionPool": {"tcp": {"maxConnections": -1}}}, "tcp.maxConnections"),
        ({"connectionPool": {"http": {"maxRetries": -1}}}, "http.maxRetries"),
        (hashed(httpHeaderName="a\nb", useSourceIp=True), "httpHeaderName"),
        (hashed(httpCookie={**_COOKIE, "name": ""}, useSourceIp=True), "httpCookie.name"),
        (hashed(httpCookie={**_COOKIE, "attributes": [{"name": "b", "value": "c\r"}]}), "attributes[0].value"),
    ],
)
def test_what_envoy_would_refuse_is_left_out_and_said(given: dict[str, Any], path: str) -> None:
    found, said = policy(**given)
    assert [each.endswith(path) for each in said] == [True]
    pool, outliers, balancing = found.pool, found.outliers, found.balancing
    assert pool is None or (pool.ping_interval, pool.connect_timeout) == (None, None)
    assert pool is None or (pool.max_connections, pool.max_retries) == (0, 0)
    assert outliers is None or outliers.server_errors is None
    if balancing is not None and balancing.hash is not None:
        assert balancing.hash.source_ip or balancing.hash.cookie is not None
        assert balancing.hash.header == ""


def test_an_ordinary_policy_is_taken_as_it_stands() -> None:
    found, said = policy(**hashed(httpCookie=_COOKIE), connectionPool={"tcp": {"connectTimeout": "1.5s"}})
    assert said == []
    assert found.pool is not None and found.pool.connect_timeout == 1.5
    assert found.balancing is not None and found.balancing.hash is not None
    assert found.balancing.hash.cookie is not None and found.balancing.hash.cookie.attributes == (("b", "c"),)
