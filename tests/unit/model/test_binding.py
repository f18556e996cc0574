from __future__ import annotations

import pytest

from kit import documents as d
from kit.worlds import world
from plait.model.binding import bound, wanted_waypoint

API = "gateway.networking.k8s.io/v1"


def waypoint(
    name: str = "waypoint",
    address: str = "10.96.0.99",
    namespace: str = "shop",
    allowed: dict[str, object] | None = None,
    **labels: str,
) -> d.Document:
    routes = {"allowedRoutes": {"namespaces": allowed}} if allowed else {}
    listener = {"name": "mesh", "port": 15008, "protocol": "HBONE", **routes}
    spec = {"gatewayClassName": "istio-waypoint", "listeners": [listener]}
    status = {"status": {"addresses": [{"value": address}]}} if address else {}
    named = {key.replace("_", "-"): value for key, value in labels.items()}
    own = {f"istio.io/{key}": value for key, value in named.items()}
    return d.document(API, "Gateway", name, namespace, labels=own, spec=spec, **status)


def said(
    *documents: d.Document, space: dict[str, str] | None = None, leaving: dict[str, str] | None = None
) -> tuple[str, str]:
    labelled = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": space or {}}}]
    mesh, _ = world(*labelled, *documents)
    found = bound(mesh.l7.services.values(), mesh.l7.gateways, mesh.services, {"shop": space or {}}, leaving or {})
    (status,) = found.values() if found else [None]
    return (status.conditions[0].status, status.conditions[0].reason) if status is not None else ("", "")


USED = {"istio.io/use-waypoint": "waypoint"}


def test_a_service_is_bound_when_node_proxies_are_told() -> None:
    assert said(d.service("cart", "10.96.0.1", labels=USED), waypoint()) == ("True", "WaypointAccepted")
    assert said(d.service("cart", "10.96.0.1"), waypoint(), space=USED) == ("True", "WaypointAccepted")


def test_why_a_service_is_not_bound() -> None:
    cart = d.service("cart", "10.96.0.1", labels=USED)
    assert said(cart) == ("False", "WaypointMissing")
    assert said(cart, waypoint(address="")) == ("False", "WaypointIsNotReady")
    assert said(cart, waypoint(waypoint_for="workload")) == ("False", "UnsupportedTrafficType")


@pytest.mark.parametrize(
    ("allowed", "wanted"),
    [
        (None, ("False", "AttachmentDenied")),
        ({"from": "Same"}, ("False", "AttachmentDenied")),
        ({"from": "All"}, ("True", "WaypointAccepted")),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}, ("True", "WaypointAccepted")),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "b"}}}, ("False", "AttachmentDenied")),
    ],
)
def test_a_waypoint_says_whose_services_of_other_namespaces_it_serves(
    allowed: dict[str, object] | None, wanted: tuple[str, str]
) -> None:
    there = waypoint(namespace="infra", allowed=allowed)
    space = {"team": "a"}
    used = {**USED, "istio.io/use-waypoint-namespace": "infra"}
    assert said(d.service("cart", "10.96.0.1", labels=used), there, space=space) == wanted
    assert said(d.service("cart", "10.96.0.1"), there, space={**space, **used}) == wanted
    _, problems = world(there, d.service("cart", "10.96.0.1", labels=used))
    assert [(p.code, p.kind, p.name) for p in problems] == (
        [] if allowed == {"from": "All"} else [("PLT0408", "Service", "cart")]
    )


def test_while_not_every_proxy_knows_a_service_is_not_bound_yet_or_still() -> None:
    key = "shop/cart.shop.svc.cluster.local"
    cart, other = d.service("cart", "10.96.0.1", labels=USED), {key: "shop/other"}
    for before in ({key: ""}, other):
        assert said(cart, waypoint(), leaving=before) == ("False", "ClientsAreBeingTold")
    assert said(cart, leaving=other) == ("False", "WaypointMissing")
    straight = d.service("cart", "10.96.0.1")
    assert said(straight, waypoint(), leaving=other) == ("True", "ClientsAreBeingTold")
    assert said(straight, waypoint(), leaving={key: ""}) == ("", "")


def test_who_wants_no_waypoint_says_nothing() -> None:
    assert said(d.service("cart", "10.96.0.1"), waypoint()) == ("", "")
    refused = {"istio.io/use-waypoint": "none"}
    assert said(d.service("cart", "10.96.0.1", labels=refused), waypoint(), space=USED) == ("", "")


def test_a_waypoint_may_be_in_another_namespace() -> None:
    labels = {**USED, "istio.io/use-waypoint-namespace": "infra"}
    assert wanted_waypoint("shop", labels, {}) == "infra/waypoint"
    assert wanted_waypoint("shop", {"gateway.networking.k8s.io/gateway-name": "waypoint"}, USED) == ""
