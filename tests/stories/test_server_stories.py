"""Stories of servers of Istio Gateways: whose VirtualServices they take, and what of several on one port is served."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds as l7
from plait.envoy.roles import gateway as role
from plait.model.views.gateway import TcpChain

PODS = (
    d.service("db", "10.9.0.1", port=5432, target=5432),
    d.pod("db-1", "10.0.0.4", labels={"app": "db"}),
    d.pod("edge-1", "10.3.0.1", labels={"app": "edge"}, spec={"containers": [{"name": "istio-proxy", "image": "x"}]}),
)
TO = [{"destination": {"host": "db", "port": {"number": 5432}}}]
TLS = {"port": {"number": 443, "name": "tls", "protocol": "TLS"}, "tls": {"mode": "PASSTHROUGH"}}
BYTES = {"tcp": [{"route": TO}]}
NAMED = {"tls": [{"match": [{"sniHosts": ["a.example"]}], "route": TO}]}


def gateway(name: str, *servers: Any, created: str = "2026-01-01T00:00:00Z") -> d.Document:
    found = l7.istio("Gateway", name, selector={"app": "edge"}, servers=list(servers))
    found["metadata"]["creationTimestamp"] = created
    return found


def chains(*documents: d.Document) -> list[TcpChain]:
    mesh, _ = l7.world(*PODS, *documents)
    return [chain for port in l7.served_by(mesh, "edge-1").ports for chain in port.tcp]


@pytest.mark.parametrize(
    ("host", "rules", "names"),
    [
        ("a.example", NAMED, [("a.example",)]),
        ("*.example", NAMED, [("a.example",)]),
        ("./a.example", NAMED, [("a.example",)]),
        ("other/a.example", NAMED, []),  # whose VirtualServices it takes is said by the server
        ("b.example", NAMED, []),
        ("a.example", BYTES, []),  # rules of TCP do not take TLS that is passed on by its names
    ],
)
def test_tls_is_passed_on_by_rules_of_tls_whose_hosts_and_namespace_the_server_takes(
    host: str, rules: dict[str, Any], names: list[tuple[str, ...]]
) -> None:
    routes = l7.istio("VirtualService", "v", hosts=["a.example"], gateways=["edge"], **rules)
    found = chains(gateway("edge", {**TLS, "hosts": [host]}), routes)
    assert [each.server_names for each in found] == names


@pytest.mark.parametrize(("host", "served"), [("*", 1), ("a.example", 1), ("b.example", 0), ("other/*", 0)])
def test_rules_of_tcp_need_a_server_of_their_hosts_too(host: str, served: int) -> None:
    server = {"port": {"number": 9000, "name": "tcp", "protocol": "TCP"}, "hosts": [host]}
    routes = l7.istio("VirtualService", "v", hosts=["a.example"], gateways=["edge"], **BYTES)
    assert len(chains(gateway("edge", server), routes)) == served


def test_of_two_protocols_on_one_port_the_older_gateways_is_served_and_the_other_is_told() -> None:
    http = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["a.example"]}
    tcp = {"port": {"number": 80, "name": "tcp", "protocol": "TCP"}, "hosts": ["*"]}
    old, young = gateway("z", http), gateway("a", tcp, created="2026-01-02T00:00:00Z")
    answer = l7.istio(
        "VirtualService", "v", hosts=["a.example"], gateways=["z"], http=[{"directResponse": {"status": 200}}]
    )
    mesh, problems = l7.world(*PODS, old, young, answer)
    assert problems == ()
    view = l7.served_by(mesh, "edge-1")
    assert [(each.port, each.protocol, each.refused) for each in view.ports] == [(80, "HTTP", ("Gateway/shop/a",))]
    (told,) = role.refusals(view)
    assert (told.source, told.path) == ("Gateway/shop/a", "spec.servers")
