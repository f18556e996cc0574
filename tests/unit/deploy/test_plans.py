"""Whose proxies they are is read off spec.addresses."""

from __future__ import annotations

import pytest

from kit import gateways as g
from plait.deploy.plans import Plan


def plan(*addresses: dict[str, str]) -> Plan:
    return Plan(g.typed(g.gateway("edge", "istio", g.HTTP, spec={"addresses": list(addresses)})), "gateway")


def test_without_addresses_the_proxies_are_ours() -> None:
    assert plan().managed
    assert plan().services == (("shop", "edge-istio"),)


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("door", ("shop", "door")),
        ("door.edge", ("edge", "door")),
        ("door.edge.svc.cluster.local", ("edge", "door")),
    ],
)
def test_a_host_name_is_a_service_of_somebody_elses_deployment(host: str, service: tuple[str, str]) -> None:
    found = plan({"type": "Hostname", "value": host})
    assert not found.managed
    assert found.services == (service,)


def test_an_ip_address_is_asked_for_and_the_proxies_stay_ours() -> None:
    found = plan({"type": "IPAddress", "value": "10.0.0.9"})
    assert found.managed
    assert found.asked == ("10.0.0.9",)


def test_an_address_of_a_type_and_no_value_is_any_address() -> None:
    found = plan({"type": "Hostname"}, {"type": "IPAddress"})
    assert found.managed
    assert found.asked == ()


def test_a_type_of_address_that_nobody_gives_is_told_and_nothing_is_made() -> None:
    found = plan({"type": "example.com/fancy", "value": "x"})
    assert found.unknown == ("example.com/fancy",)
    assert not found.managed


def test_labels_of_the_infrastructure_take_the_place_of_the_gateways_own() -> None:
    own = g.waypoint(labels={"team": "a"}, annotations={"note": "b"})
    assert (Plan(g.typed(own), "waypoint").labels, Plan(g.typed(own), "waypoint").annotations) == (
        {"team": "a"},
        {"note": "b"},
    )
    given = g.waypoint(labels={"team": "a"}, spec={"infrastructure": {"labels": {"cost": "c"}}})
    assert Plan(g.typed(given), "waypoint").labels == {"cost": "c"}
