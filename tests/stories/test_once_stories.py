"""Stories of routes that are bound to a gateway and to the mesh: each acts once, whoever the server stands behind."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds as l7
from plait.model.routes import Forward, Route

CART = "cart.shop.svc.cluster.local"
USE = {"istio.io/use-waypoint": "waypoint"}
SPLIT = {
    "match": [{"uri": {"prefix": "/a"}}],
    "headers": {"request": {"add": {"x-seen": "1"}}},
    "fault": {"abort": {"httpStatus": 500, "percentage": {"value": 10}}},
    "route": [{"destination": {"host": CART}, "weight": 80}, {"destination": {"host": "plain"}, "weight": 20}],
}


def world(*documents: d.Document, behind: bool = True) -> Any:
    return l7.world(
        l7.waypoint(),
        l7.gateway_pod("waypoint-1", "10.4.0.1", "waypoint", account="waypoint"),
        l7.gateway(),
        l7.gateway_pod("edge-1", "10.4.0.2", "edge"),
        d.pod("door-1", "10.4.0.3", captured=False, labels={"door": "yes"}),
        l7.istio(
            "Gateway",
            "door",
            selector={"door": "yes"},
            servers=[{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
        ),
        d.service("cart", "10.9.0.1", labels=USE if behind else {}),
        d.service("plain", "10.9.0.2"),
        d.pod("cart-1", "10.0.0.4", labels={"app": "cart"}),
        *documents,
    )[0]


def both(*rules: dict[str, Any], hosts: tuple[str, ...] = (CART,)) -> d.Document:
    """A VirtualService for the gateway `door` and for the mesh."""
    return l7.routes("cart", list(rules), hosts=list(hosts), gateways=["door", "mesh"], creationTimestamp="2021")


def at_door(mesh: Any, pod: str = "door-1") -> tuple[Route, ...]:
    return l7.served_by(mesh, pod).ports[0].http[0].virtual_hosts[0].routes


def at_waypoint(mesh: Any) -> tuple[Route, ...]:
    return l7.behind(mesh, "waypoint-1").services[0].ports[0].virtual_hosts[0].routes


def acts(route: Route) -> bool:
    assert isinstance(route.action, Forward)
    return route.fault is not None or bool(route.request.add) or len(route.action.destinations) > 1


def test_the_gateway_takes_a_request_to_the_waypoint_that_applies_the_same_route() -> None:
    mesh = world(both(SPLIT))
    (there,) = at_door(mesh)
    assert [each.path.value for each in there.matches if each.path] == ["/a"]
    assert isinstance(there.action, Forward)
    assert [(e.hostname, e.port, e.weight) for e in there.action.destinations] == [(CART, 80, 1)]
    assert [acts(route) for route in (there, *at_waypoint(mesh))] == [False, True]


def test_without_a_waypoint_the_gateway_applies_it() -> None:
    assert [acts(route) for route in at_door(world(both(SPLIT), behind=False))] == [True]


@pytest.mark.parametrize(
    "rule",
    [
        {**SPLIT, "match": [{"uri": {"prefix": "/a"}, "gateways": ["door"]}]},
        {**SPLIT, "match": [{"uri": {"prefix": "/a"}, "port": 80, "sourceLabels": {"door": "yes"}}]},
        {**SPLIT, "route": [{"destination": {"host": "plain"}}]},
    ],
    ids=["gateway only", "who calls the gateway", "to a service without a waypoint"],
)
def test_what_the_waypoint_would_not_apply_to_it_the_gateway_applies(rule: dict[str, Any]) -> None:
    assert [acts(route) for route in at_door(world(both(rule)))] == [True]


def test_a_host_that_is_no_service_of_the_waypoint_is_the_gateways() -> None:
    mesh = world(both(SPLIT, hosts=("shop.example",)))
    assert [acts(route) for route in at_door(mesh)] == [True]
    assert [acts(route) for route in at_waypoint(mesh)] == [False]


def test_a_redirect_is_answered_where_it_is_met_first() -> None:
    mesh = world(both({"redirect": {"uri": "/b"}}))
    assert not isinstance(at_door(mesh)[0].action, Forward)


def test_an_older_object_for_the_mesh_leaves_the_younger_one_to_the_gateway() -> None:
    older = l7.routes("older", [{"route": [{"destination": {"host": CART}}]}], hosts=[CART], creationTimestamp="2020")
    mesh = world(both(SPLIT), older)
    assert [acts(route) for route in at_door(mesh)] == [True]


def http_route(*parents: dict[str, Any]) -> d.Document:
    change = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"add": [{"name": "x-seen", "value": "1"}]}}
    rule = {"filters": [change], "backendRefs": [{"name": "cart", "port": 80}]}
    return l7.api("HTTPRoute", "cart", parentRefs=list(parents), rules=[rule])


def test_an_http_route_of_a_gateway_and_a_service_acts_once_too() -> None:
    edge, cart = {"name": "edge"}, {"group": "", "kind": "Service", "name": "cart"}
    mesh = world(http_route(edge, cart))
    seen = [
        acts(route) for route in (*at_door(mesh, "edge-1"), *at_waypoint(mesh)) if isinstance(route.action, Forward)
    ]
    assert seen == [False, True]
    assert [acts(route) for route in at_door(world(http_route(edge)), "edge-1")] == [True]
