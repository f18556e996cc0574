"""Programmed is what was measured: an address, and somebody ready behind it."""

from __future__ import annotations

from typing import Any

import pytest

from kit import gateways as g
from plait.deploy.measured import Measured, any_ready, measured
from plait.deploy.plans import Plan

Document = dict[str, Any]
INSIDE = {"spec": {"type": "ClusterIP", "clusterIP": "10.0.0.5"}}
HOST = "waypoint.shop.svc.cluster.local"


def look(document: Document, runs: Any, found: dict[str, Document], ready: bool = True, failed: str = "") -> Measured:
    services = {("shop", name): each for name, each in found.items()}
    slices = [{"metadata": {}, "endpoints": [{"conditions": {"ready": ready}}]}]
    why = ("Invalid", failed) if failed else ("", "")
    return measured(Plan(g.typed(document), runs), services.get, lambda name: slices, why)


def balanced(*addresses: str) -> Document:
    ingress = [{"ip": each} for each in addresses]
    return {"spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.6"}, "status": {"loadBalancer": {"ingress": ingress}}}


def edge(*asked: str, **rest: Any) -> Document:
    addresses = [{"type": "IPAddress", "value": each} for each in asked]
    return g.gateway("edge", "istio", g.HTTP, spec={"addresses": addresses}, **rest)


def test_a_ready_waypoint_has_an_address_and_a_name_inside_the_cluster() -> None:
    found = look(g.waypoint(), "waypoint", {"waypoint": INSIDE})
    assert (found.programmed, found.reason, found.addresses) == (True, "Programmed", ("10.0.0.5", HOST))


def test_a_waypoint_that_sleeps_serves_because_the_activator_holds_who_calls() -> None:
    labels = {"endpointslice.kubernetes.io/managed-by": "plait-activator"}
    held = {"metadata": {"labels": labels}, "endpoints": [{"conditions": {"ready": True}}]}
    pods = {"metadata": {}, "endpoints": []}
    found = measured(Plan(g.typed(g.waypoint()), "waypoint"), lambda name: INSIDE, lambda name: [pods, held])
    assert found.programmed
    assert found.message == "no proxy runs; a connection to Service waypoint.shop starts one"


def test_a_gateway_has_the_addresses_of_its_load_balancer_only() -> None:
    found = look(edge(), "gateway", {"edge-istio": balanced("10.64.192.3")})
    assert (found.programmed, found.addresses) == (True, ("10.64.192.3",))


def test_a_gateway_inside_the_cluster_has_the_name_of_its_service_or_the_kind_of_address_it_asks_for() -> None:
    assert look(edge(), "gateway", {"edge-istio": INSIDE}).addresses == ("edge-istio.shop.svc.cluster.local",)
    asking = edge(annotations={"networking.istio.io/address-type": "IPAddress"})
    assert look(asking, "gateway", {"edge-istio": INSIDE}).addresses == ("10.0.0.5",)


@pytest.mark.parametrize(
    ("document", "service", "ready", "failed", "reason"),
    [
        (edge(), balanced("10.64.192.3"), False, "", "Pending"),
        (edge(), balanced(), True, "", "AddressNotAssigned"),
        (edge(), None, True, "", "AddressNotAssigned"),
        (edge("10.64.192.4"), balanced("10.64.192.3"), True, "", "AddressNotUsable"),
        (edge("192.0.2.1"), balanced(), True, "", "AddressNotUsable"),
        (edge("10.64.192.3"), balanced("10.64.192.3"), True, "", "Programmed"),
        (edge(), balanced("10.64.192.3"), True, "no parameters", "Invalid"),
    ],
)
def test_what_is_missing_is_the_reason(
    document: Document, service: Document | None, ready: bool, failed: str, reason: str
) -> None:
    found = look(document, "gateway", {"edge-istio": service} if service is not None else {}, ready, failed)
    assert found.reason == reason
    assert found.programmed is (reason == "Programmed")
    assert found.message


def test_somebody_elses_deployment_is_measured_where_its_service_is() -> None:
    other = g.gateway("edge", "istio", g.HTTP, spec={"addresses": [{"type": "Hostname", "value": "door"}]})
    assert look(other, "gateway", {"door": balanced("10.64.192.9")}).addresses == ("10.64.192.9",)
    absent = look(other, "gateway", {})
    assert (absent.programmed, absent.reason) == (False, "AddressNotUsable")
    assert "door.shop.svc.cluster.local" in absent.message


def test_an_address_of_an_unknown_type_is_told() -> None:
    other = g.gateway("edge", "istio", g.HTTP, spec={"addresses": [{"type": "example.com/x", "value": "y"}]})
    assert look(other, "gateway", {}).reason == "AddressNotUsable"


def test_endpoints_are_ready_unless_they_say_otherwise() -> None:
    ready, unready = {"endpoints": [{"conditions": {"ready": True}}]}, {"endpoints": [{"conditions": {"ready": False}}]}
    assert any_ready([unready, ready])
    assert any_ready([{"endpoints": [{}]}])
    assert not any_ready([unready, {"endpoints": None}])
    assert not any_ready([])
