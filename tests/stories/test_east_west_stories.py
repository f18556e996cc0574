"""Stories of AUTO_PASSTHROUGH: which services an east-west gateway passes TLS on to, and to which of their pods."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds as w
from plait.envoy.roles import gateway
from plait.model.mesh import Mesh
from plait.model.views.gateway import GatewayView

POD = d.pod("east-1", "10.3.0.1", labels={"istio": "eastwest"})
SERVICES = (
    d.service("cart", "10.9.0.1"),
    d.service("db", "10.9.0.2", port=5432),
    w.sidecar_pod("cart-1", "10.0.0.1", labels={"app": "cart", "version": "v1"}),
    w.sidecar_pod("cart-2", "10.0.0.2", labels={"app": "cart", "version": "v2"}),
    d.pod("cart-3", "10.0.0.3", labels={"app": "cart"}),
    d.pod("cart-4", "10.0.0.4", labels={"app": "cart"}, captured=False),
)
CART, DB = "cart.shop.svc.cluster.local", "db.shop.svc.cluster.local"


def east(*hosts: str) -> d.Document:
    port = {"number": 15443, "name": "tls", "protocol": "TLS"}
    server = {"port": port, "hosts": list(hosts), "tls": {"mode": "AUTO_PASSTHROUGH"}}
    return w.istio("Gateway", "east", selector={"istio": "eastwest"}, servers=[server])


def seen(*documents: d.Document) -> tuple[Mesh, GatewayView]:
    mesh, problems = w.world(POD, *SERVICES, *documents)
    assert [each for each in problems if each.severity != "info"] == []
    return mesh, w.served_by(mesh, "east-1")


def keys(view: GatewayView) -> list[tuple[str, int, str]]:
    assert [key for port in view.ports for key in port.passed] == [each.key for each in view.passed]
    return [each.key for each in view.passed]


@pytest.mark.parametrize(
    ("hosts", "found"),
    [
        (("*.local",), [(CART, 80, ""), (DB, 5432, "")]),
        (("*",), [(CART, 80, ""), (DB, 5432, "")]),
        ((f"shop/{DB}",), [(DB, 5432, "")]),
        (("*.example",), []),
    ],
)
def test_the_hosts_of_its_server_are_passed_on(hosts: tuple[str, ...], found: list[Any]) -> None:
    assert keys(seen(east(*hosts))[1]) == found


def test_subsets_have_names_of_their_own_and_only_pods_that_open_tls_are_reached() -> None:
    subsets = [{"name": each, "labels": {"version": each}} for each in ("v1", "v2")]
    rule = w.rules(CART, subsets=subsets, trafficPolicy={"tls": {"mode": "DISABLE"}})
    _, view = seen(east(f"*/{CART}"), rule)
    ends = {each.subset: [end.address for end in each.endpoints] for each in view.passed}
    assert ends == {"": ["10.0.0.1", "10.0.0.2"], "v1": ["10.0.0.1"], "v2": ["10.0.0.2"]}
    assert {end.way for each in view.passed for end in each.endpoints} == {"plain"}, (
        "the client's TLS is carried as it is"
    )
    found = gateway.documents(view)
    (listener,) = (each for each in found["listeners"] if each["name"] == "0.0.0.0_15443")
    names = [f"outbound_.80_.{subset}_.{CART}" for subset in ("", "v1", "v2")]
    assert [each["filter_chain_match"]["server_names"] for each in listener["filter_chains"]] == [[n] for n in names]
    clusters = {each["name"]: each for each in found["clusters"]}
    for name in names:
        assert "transport_socket" not in clusters[name] and "transport_socket_matches" not in clusters[name]


def test_what_is_outside_the_mesh_is_not_passed_on() -> None:
    entry = {"hosts": ["out.local"], "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}]}
    outside = w.istio("ServiceEntry", "out", location="MESH_EXTERNAL", resolution="DNS", **entry)
    assert keys(seen(east("*.local"), outside)[1]) == [(CART, 80, ""), (DB, 5432, "")]


def test_a_service_with_a_waypoint_is_not_passed_by_it_and_that_is_told() -> None:
    behind = d.service("late", "10.9.0.3", labels={"istio.io/use-waypoint": "waypoint"})
    _, view = seen(east("*.local"), w.waypoint(), behind)
    assert keys(view) == [(CART, 80, ""), (DB, 5432, "")]
    (refused,) = gateway.refusals(view)
    assert "late.shop.svc.cluster.local has a waypoint" in refused.message
