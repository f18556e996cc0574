"""Stories of EnvoyFilters: which of a proxy's many listeners, chains, routes and clusters a match is about."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds as l7
from plait.envoy.roles import gateway, sidecar

HOST = "web.shop.svc.cluster.local"
LUA = {
    "name": "my.lua",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": "x = 1"},
    },
}
PORTS = [{"name": f"http-{n}", "port": n, "targetPort": n, "protocol": "TCP"} for n in (8080, 9090)]


def patched(apply_to: str, operation: str, value: Any, context: str, **match: Any) -> dict[str, list[dict[str, Any]]]:
    """What the sidecar of `web` is told, with one patch."""
    change = {
        "applyTo": apply_to,
        "match": {"context": context, **match},
        "patch": {"operation": operation, "value": value},
    }
    mesh, problems = l7.world(
        d.service("web", "10.9.0.1", spec={"ports": PORTS}),
        l7.sidecar_pod("web", "10.0.0.1", labels={"app": "web", "networking.istio.io/tunnel": "http"}),
        l7.routes("web", [{"name": "one", "directResponse": {"status": 204}}], hosts=["web", "other.example"]),
        l7.istio("EnvoyFilter", "mine", configPatches=[change]),
    )
    assert not [each for each in problems if each.severity == "error"], problems
    return sidecar.documents(l7.seen_by(mesh, "web"))


def touched(found: dict[str, list[dict[str, Any]]]) -> set[tuple[str, int]]:
    """Listener and port of every chain that has the filter."""
    return {
        (listener["name"], chain.get("filter_chain_match", {}).get("destination_port", 0))
        for listener in found["listeners"]
        for chain in listener["filter_chains"]
        for each in chain["filters"]
        if LUA in each["typed_config"].get("http_filters", ())
    }


def test_a_port_on_the_way_in_is_the_port_of_a_chain() -> None:
    found = touched(patched("HTTP_FILTER", "INSERT_FIRST", LUA, "SIDECAR_INBOUND", listener={"portNumber": 8080}))
    assert {port for _, port in found} == {8080}
    assert "virtualInbound" in {name for name, _ in found}


@pytest.mark.parametrize(
    ("context", "listeners"),
    [("SIDECAR_INBOUND", {"virtualInbound"}), ("SIDECAR_OUTBOUND", {"0.0.0.0_8080", "0.0.0.0_9090"})],
)
def test_a_direction_takes_its_own_listeners_only(context: str, listeners: set[str]) -> None:
    found = {name for name, _ in touched(patched("HTTP_FILTER", "INSERT_FIRST", LUA, context))}
    assert found - {"main_internal", "connect_terminate"} == listeners
    assert ("main_internal" in found) <= (context == "SIDECAR_INBOUND")


def test_a_route_put_first_goes_only_where_the_route_is_that_is_named() -> None:
    fresh = {"name": "mine", "match": {"path": "/m"}, "direct_response": {"status": 418}}
    where = {"routeConfiguration": {"vhost": {"route": {"name": "one"}}}}
    found = patched("HTTP_ROUTE", "INSERT_FIRST", fresh, "SIDECAR_OUTBOUND", **where)
    first = {
        host["name"]: host["routes"][0]["name"]
        for each in found["routes"]
        for host in each["virtual_hosts"]
        if each["name"] == "8080"
    }
    assert first == {f"{HOST}:8080": "mine", "other.example:8080": "mine", "allow_any": "allow_any"}


def test_a_cluster_on_the_way_in_is_known_by_its_service() -> None:
    found = patched("CLUSTER", "MERGE", {"connect_timeout": "7s"}, "SIDECAR_INBOUND", cluster={"service": HOST})
    assert {each["name"] for each in found["clusters"] if each["connect_timeout"] == "7s"} == {
        "inbound|8080||",
        "inbound|9090||",
    }


@pytest.mark.parametrize(("context", "hit"), [("SIDECAR_INBOUND", True), ("SIDECAR_OUTBOUND", False)])
def test_what_passes_to_ports_that_nobody_lists_is_on_the_way_in(context: str, hit: bool) -> None:
    found = patched("CLUSTER", "MERGE", {"connect_timeout": "7s"}, context)
    [cluster] = [each for each in found["clusters"] if each["name"] == "InboundPassthroughCluster"]
    assert (cluster["connect_timeout"] == "7s") is hit


def test_routes_on_the_way_in_are_known_by_the_service_s_port_and_clusters_by_the_pod_s() -> None:
    """As where the requests to one port of a workload are counted against a limit of their own."""
    changes = [
        {
            "applyTo": "HTTP_ROUTE",
            "match": {
                "context": "SIDECAR_INBOUND",
                "routeConfiguration": {"vhost": {"name": f"inbound|http|{port}", "route": {"action": "ANY"}}},
            },
            "patch": {"operation": "MERGE", "value": {"request_headers_to_remove": [f"x-{port}"]}},
        }
        for port in (80, 0)
    ]
    mesh, problems = l7.world(
        d.service("web", "10.9.0.1", target=9080),
        l7.sidecar_pod("web", "10.0.0.1", labels={"app": "web"}),
        l7.istio("EnvoyFilter", "mine", configPatches=changes),
    )
    assert not problems
    found = {
        each["name"]: [route.get("request_headers_to_remove") for route in each["virtual_hosts"][0]["routes"]]
        for each in sidecar.documents(l7.seen_by(mesh, "web"))["routes"]
    }
    assert found["inbound|9080||"] == [["x-80"]] * 2
    assert found["InboundPassthroughCluster"] == [["x-0"]] * 2


@pytest.mark.parametrize(
    ("name", "chains"),
    [
        ("0.0.0.0_8080", {"0.0.0.0_8080-mtls", "0.0.0.0_8080-plain"}),
        ("0.0.0.0_8080-plain", {"0.0.0.0_8080-plain"}),
        ("virtualInbound-catchall-http", {"virtualInbound-mtls-http", "virtualInbound-http"}),
        ("virtualInbound", set()),
        ("0.0.0.0_80", set()),
    ],
)
def test_chains_on_the_way_in_are_known_by_istio_s_names_too(name: str, chains: set[str]) -> None:
    found = patched("HTTP_FILTER", "INSERT_FIRST", LUA, "SIDECAR_INBOUND", listener={"filterChain": {"name": name}})
    assert chains == {
        chain["name"]
        for listener in found["listeners"]
        for chain in listener["filter_chains"]
        for each in chain["filters"]
        if LUA in each["typed_config"].get("http_filters", ())
    }


def test_the_bytes_of_ports_that_nobody_lists_are_known_by_istio_s_name() -> None:
    filters = {"filterChain": {"name": "virtualInbound", "filter": {"name": "envoy.filters.network.tcp_proxy"}}}
    value = {
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "max_connect_attempts": 7,
        }
    }
    found = patched("NETWORK_FILTER", "MERGE", value, "SIDECAR_INBOUND", listener=filters)
    assert {
        chain["name"]
        for listener in found["listeners"]
        for chain in listener["filter_chains"]
        if chain["filters"][-1]["typed_config"].get("max_connect_attempts") == 7
    } == {"virtualInbound-mtls-tcp", "virtualInbound-tcp", "virtualInbound-tls"}


def test_a_socket_is_merged_into_the_one_of_its_name_where_several_are_chosen_from() -> None:
    socket = {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "max_session_keys": 0,
        },
    }
    name = f"outbound|8080||{HOST}"
    value = {"transport_socket": socket, "alt_stat_name": name}
    found = patched("CLUSTER", "MERGE", value, "SIDECAR_OUTBOUND", cluster={"name": name})
    [cluster] = [each for each in found["clusters"] if each["name"] == name]
    ways = {each["name"]: each["transport_socket"] for each in cluster["transport_socket_matches"]}
    assert "transport_socket" not in cluster
    assert ways["tlsMode-istio"]["typed_config"]["max_session_keys"] == 0
    assert ways["tlsMode-istio"]["typed_config"]["common_tls_context"]["alpn_protocols"]


@pytest.mark.parametrize(("port", "hit"), [(80, True), (8080, False)])
def test_a_gateway_s_routes_are_known_by_the_port_of_the_server(port: int, hit: bool) -> None:
    change = {
        "applyTo": "VIRTUAL_HOST",
        "match": {"context": "GATEWAY", "routeConfiguration": {"portNumber": port}},
        "patch": {"operation": "MERGE", "value": {"request_headers_to_remove": ["x-a"]}},
    }
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    mesh, _ = l7.world(
        d.service("edge", "10.9.0.9", target=8080),
        d.pod("edge-1", "10.4.0.2", labels={"app": "edge"}, captured=False),
        l7.istio("Gateway", "edge", selector={"app": "edge"}, servers=[server]),
        l7.routes("x.example", [{"directResponse": {"status": 204}}], gateways=["edge"]),
        l7.istio("EnvoyFilter", "mine", configPatches=[change]),
    )
    [routes] = gateway.documents(l7.served_by(mesh, "edge-1"))["routes"]
    assert routes["name"] == "http.8080"
    assert ("request_headers_to_remove" in routes["virtual_hosts"][0]) is hit


def test_a_cluster_that_only_a_patch_names_is_there() -> None:
    """As where a rate limit's service is called by a gateway's filter."""
    value = {
        "name": "c",
        "match": {"prefix": "/c"},
        "route": {"cluster": "outbound|9000|v1|limits.shop.svc.cluster.local"},
    }
    change = {"applyTo": "HTTP_ROUTE", "match": {"context": "GATEWAY"}, "patch": {"operation": "ADD", "value": value}}
    mesh, _ = l7.world(
        d.service("limits", "10.9.0.9", port=9000),
        l7.rules("limits", subsets=[{"name": "v1", "labels": {}}]),
        d.pod("edge-1", "10.4.0.2", labels={"istio": "edge"}, captured=False),
        l7.istio("Gateway", "edge", selector={"istio": "edge"}, servers=[]),
        l7.istio("EnvoyFilter", "mine", configPatches=[change]),
    )
    found = {each["name"] for each in gateway.documents(l7.served_by(mesh, "edge-1"))["clusters"]}
    assert "outbound|9000|v1|limits.shop.svc.cluster.local" in found
