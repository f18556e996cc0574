"""Stories of VirtualService rules, as far as Envoy's words: what somebody writes and what the proxy is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds as l7
from plait.envoy.roles import gateway, sidecar

HOST = "reviews.shop.svc.cluster.local"
SHOP = (
    d.service("cart", "10.9.0.1"),
    d.service("reviews", "10.9.0.2"),
    l7.sidecar_pod("web", "10.0.0.1", labels={"app": "web"}),
    l7.sidecar_pod("reviews-1", "10.0.0.2", labels={"app": "reviews"}),
)
TO = [{"destination": {"host": "reviews"}}]
HASH = l7.rules("reviews", trafficPolicy={"loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}})


def hosts(found: dict[str, Any], name: str = "80") -> dict[str, Any]:
    """Virtual hosts of one route configuration, by each of their domains."""
    configuration = next(each for each in found["routes"] if each["name"] == name)
    return {domain: each for each in configuration["virtual_hosts"] for domain in each["domains"]}


def routed(rule: d.Document, *more: d.Document) -> dict[str, Any]:
    """The first route of a sidecar for one rule of `reviews`."""
    mesh, _ = l7.world(*SHOP, *more, l7.routes("reviews", [{"route": TO, **rule}]))
    found: dict[str, Any] = hosts(sidecar.documents(l7.seen_by(mesh, "web")))[HOST]["routes"][0]
    return found


def edge(*servers: d.Document, name: str = "edge", namespace: str = "shop") -> d.Document:
    return l7.istio("Gateway", name, namespace, selector={"istio": "edge"}, servers=list(servers))


def server(number: int = 80, protocol: str = "HTTP", *names: str, **more: Any) -> d.Document:
    port = {"number": number, "name": f"{protocol.lower()}-{number}", "protocol": protocol}
    return {"port": port, "hosts": list(names) or ["*"], **more}


def at_edge(*documents: d.Document) -> dict[str, Any]:
    pod = d.pod("edge-1", "10.4.0.2", labels={"istio": "edge", "app": "edge"}, captured=False)
    mesh, _ = l7.world(*SHOP, pod, *documents)
    return gateway.documents(l7.served_by(mesh, "edge-1"))


def bound(name: str, rules: list[d.Document], *gateways: str, **spec: Any) -> d.Document:
    made = l7.routes(spec.pop("host", "shop.example"), rules, gateways=list(gateways) or ["edge"], **spec)
    made["metadata"]["name"] = name
    return made


def prefixes(host: d.Document) -> list[str]:
    return [route["match"].get("prefix", route["match"].get("path")) for route in host["routes"]]


# Rules ---


def test_a_fault_without_a_percentage_befalls_no_request() -> None:
    rule = {"fault": {"abort": {"httpStatus": 500}, "delay": {"fixedDelay": "5s"}}}
    assert "typed_per_filter_config" not in routed(rule)
    _, problems = l7.world(*SHOP, l7.routes("reviews", [{"route": TO, **rule}]))
    assert sorted((p.severity, p.path) for p in problems) == [
        ("warning", "spec.http[0].fault.abort.percentage"),
        ("warning", "spec.http[0].fault.delay.percentage"),
    ]


@pytest.mark.parametrize(
    ("words", "conditions", "codes"),
    [
        ("503,504", "retriable-status-codes", [503, 504]),
        ("5xx, 409", "5xx,retriable-status-codes", [409]),
        ("", "connect-failure,refused-stream,unavailable,cancelled", None),
    ],
)
def test_what_is_tried_again(words: str, conditions: str, codes: list[int] | None) -> None:
    policy = routed({"retries": {"attempts": 3, "retryOn": words}})["route"]["retry_policy"]
    assert (policy["retry_on"], policy.get("retriable_status_codes")) == (conditions, codes)


@pytest.mark.parametrize(
    ("said", "hashed", "avoids"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"retryIgnorePreviousHosts": True}, True, True),
        ({"retryIgnorePreviousHosts": False}, False, False),
    ],
)
def test_a_host_that_a_hash_chooses_is_tried_again(said: d.Document, hashed: bool, avoids: bool) -> None:
    found = routed({"retries": {"attempts": 1, **said}}, *([HASH] if hashed else []))["route"]
    assert ("retry_host_predicate" in found["retry_policy"], "hash_policy" in found) == (avoids, hashed)


@pytest.mark.parametrize(("timeout", "told"), [(None, "0s"), ("2s", "2s")])
def test_a_call_s_own_deadline_counts_up_to_the_timeout(timeout: str | None, told: str) -> None:
    found = routed({"timeout": timeout} if timeout else {})["route"]
    assert (found["timeout"], found["max_grpc_timeout"]) == (told, told)


def test_a_lone_star_asks_whether_there_is_such_a_header() -> None:
    match = {"headers": {"x-a": {"regex": "*"}, "x-b": {}}, "withoutHeaders": {"x-c": {"regex": "*"}}}
    assert routed({"match": [match]})["match"]["headers"] == [
        {"name": "x-a", "present_match": True},
        {"name": "x-b", "present_match": True},
        {"name": "x-c", "present_match": True, "invert_match": True},
    ]


def test_case_is_ignored_in_exact_and_prefix_tests_of_the_path_only() -> None:
    def told(**uri: str) -> d.Document:
        found: d.Document = routed({"match": [{"uri": uri, "ignoreUriCase": True}]})["match"]
        return found

    assert told(prefix="/A") == {"prefix": "/A", "case_sensitive": False}
    assert told(regex="/A.*") == {"safe_regex": {"regex": "/A.*"}}


@pytest.mark.parametrize("how", ["set", "add"])
def test_a_host_header_changes_the_authority(how: str) -> None:
    found = routed({"headers": {"request": {how: {"Host": "other.example"}}}})
    assert found["route"]["host_rewrite_literal"] == "other.example"
    assert "request_headers_to_add" not in found


def test_a_match_that_names_gateways_does_not_look_at_who_asks() -> None:
    match = {"gateways": ["mesh"], "sourceLabels": {"app": "other"}, "sourceNamespace": "other"}
    assert routed({"match": [match]})["route"]["cluster"] == f"outbound|80||{HOST}"


def test_spans_are_called_after_where_a_request_goes() -> None:
    split = [{"destination": {"host": host}, "weight": 50} for host in ("reviews", "cart")]
    match = [{"uri": {"prefix": "/v1/"}}]
    assert routed({"match": match})["decorator"] == {"operation": f"{HOST}:80/v1/*"}
    assert routed({"match": match, "route": split})["decorator"] == {"operation": "reviews:80/v1/*"}


@pytest.mark.parametrize(
    ("leaf", "paths"),
    [
        (["/a/b", "/a/c"], ["/a/b", "/a/c"]),
        (["/a/b", "/x"], []),
    ],
)
def test_a_delegate_s_rule_with_a_match_outside_of_its_root_s_is_left_out(leaf: list[str], paths: list[str]) -> None:
    matches = [{"uri": {"prefix": path}} for path in leaf]
    root = {"match": [{"uri": {"prefix": "/a"}}], "delegate": {"name": "leaf"}, "route": []}
    below = l7.routes("leaf", [{"match": matches, "route": TO}], hosts=[])
    mesh, problems = l7.world(*SHOP, below, l7.routes("reviews", [root, {"route": TO}]))
    found = hosts(sidecar.documents(l7.seen_by(mesh, "web")))[HOST]
    assert prefixes(found) == [*paths, "/"]
    assert [each.path for each in problems] == ([] if paths else ["spec.http[0].delegate"])


# Redirects ---


@pytest.mark.parametrize(
    ("redirect", "port"),
    [
        ({"authority": "a.example"}, None),
        ({"authority": "a.example", "derivePort": "FROM_REQUEST_PORT"}, 8080),
        ({"uri": "/new", "derivePort": "FROM_REQUEST_PORT"}, 8080),
        ({"uri": "/new", "derivePort": "FROM_PROTOCOL_DEFAULT"}, None),
        ({"port": 80}, None),
        ({"port": 443}, 443),
        ({"port": 443, "scheme": "https"}, None),
        ({"port": 80, "scheme": "https"}, 80),
    ],
)
def test_the_port_a_plain_request_is_sent_to(redirect: d.Document, port: int | None) -> None:
    found = at_edge(edge(server(8080)), bound("r", [{"redirect": redirect}]))
    told = hosts(found, "http.8080")["shop.example"]["routes"][0]["redirect"]
    assert told.get("port_redirect") == port


def test_the_port_of_tls_is_the_default_of_a_secure_request() -> None:
    tls = {"mode": "SIMPLE", "credentialName": "cert"}
    rules = [{"redirect": {"port": 443}}]
    found = at_edge(edge(server(443, "HTTPS", tls=tls)), bound("r", rules), l7.secret("cert"))
    [host] = hosts(found, "https.443.https-443.edge.shop").values()
    assert "port_redirect" not in host["routes"][0]["redirect"]


# Gateways ---


def test_rules_for_one_host_by_several_objects_and_gateways_are_joined_and_catch_alls_come_last() -> None:
    old = bound("old", [{"match": [{"uri": {"prefix": "/a"}}], "route": TO}, {"route": TO}])
    new = bound("new", [{"match": [{"uri": {"prefix": "/b"}}], "route": TO}], creationTimestamp="2026-02-01T00:00:00Z")
    second = bound("more", [{"match": [{"uri": {"prefix": "/c"}}], "route": TO}], "second")
    found = at_edge(edge(server()), edge(server(), name="second"), old, new, second)
    assert prefixes(hosts(found, "http.80")["shop.example"]) == ["/a", "/b", "/c", "/"]


def test_what_stands_behind_a_catch_all_of_the_same_object_stays_hidden() -> None:
    rules = [{"match": [{"uri": {"prefix": "/"}}], "route": TO}, {"match": [{"uri": {"prefix": "/x"}}], "route": TO}]
    other = bound("z", [{"match": [{"uri": {"prefix": "/b"}}], "route": TO}])
    assert prefixes(hosts(at_edge(edge(server()), bound("a", rules), other), "http.80")["shop.example"]) == ["/b", "/"]


def test_a_redirect_to_https_needs_no_route() -> None:
    found = at_edge(edge(server(80, "HTTP", "shop.example", "*.other.example", tls={"httpsRedirect": True})))
    assert {name: host.get("require_tls") for name, host in hosts(found, "http.80").items()} == {
        "shop.example": "ALL",
        "*.other.example": "ALL",
    }


def test_a_server_s_port_is_the_service_s_and_its_pods_listen_where_that_leads() -> None:
    front = d.service("edge", "10.9.0.9", target=8080)
    rule = {"match": [{"port": 80}], "route": [{"destination": {"host": "reviews"}}]}
    found = at_edge(front, edge(server()), bound("r", [rule]))
    assert [each["name"] for each in found["listeners"] if each["name"].startswith("0.0.0.0")] == ["0.0.0.0_8080"]
    assert hosts(found, "http.8080")["shop.example"]["routes"][0]["route"]["cluster"] == f"outbound|80||{HOST}"


def test_a_server_for_every_host_takes_every_server_name() -> None:
    tls = {"mode": "SIMPLE", "credentialName": "cert"}
    found = at_edge(edge(server(443, "HTTPS", "*", "shop.example", tls=tls)), l7.secret("cert"))
    [chain] = found["listeners"][0]["filter_chains"]
    assert "filter_chain_match" not in chain
