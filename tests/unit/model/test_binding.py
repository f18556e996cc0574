from __future__ import annotations

from kit import documents as d
from kit.worlds import world
from plait.model.binding import bound, wanted_waypoint

API = "gateway.networking.k8s.io/v1"


def waypoint(name: str = "waypoint", address: str = "10.96.0.99", **labels: str) -> d.Document:
    listener = {"name": "mesh", "port": 15008, "protocol": "HBONE"}
    spec = {"gatewayClassName": "istio-waypoint", "listeners": [listener]}
    status = {"status": {"addresses": [{"value": address}]}} if address else {}
    named = {key.replace("_", "-"): value for key, value in labels.items()}
    return d.document(API, "Gateway", name, labels={f"istio.io/{k}": v for k, v in named.items()}, spec=spec, **status)


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
