"""A rule of a VirtualService acts once, also where its service's waypoint is not the first proxy that finds it."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds as l7
from plait.model.mesh import Mesh
from plait.model.routes import Forward, Route, VirtualHost
from plait.model.views.once import UNREACHED

USE = {"istio.io/use-waypoint": "waypoint"}
HOST = "cart.shop.svc.cluster.local"
PORTS = [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "tcp", "port": 81, "targetPort": 9090}]
SERVERS = [
    {"port": {"number": number, "name": name.lower(), "protocol": name}, "hosts": ["*"], **more}
    for number, name, more in ((80, "HTTP", {}), (81, "TCP", {}), (443, "TLS", {"tls": {"mode": "PASSTHROUGH"}}))
]
WORLD = (
    l7.waypoint(),
    l7.gateway_pod("waypoint-1", "10.4.0.1", "waypoint", account="waypoint"),
    d.service("cart", "10.9.0.1", labels=USE, spec={"ports": PORTS}),
    d.service("plain", "10.9.0.2"),
    d.pod("cart-1", "10.0.0.4", labels={"app": "cart"}),
    l7.sidecar_pod("web", "10.0.0.1"),
    d.pod("edge-1", "10.3.0.1", "istio-system", captured=False, labels={"istio": "edge"}),
    l7.istio("Gateway", "front", selector={"istio": "edge"}, servers=SERVERS),
)
SET = {"headers": {"request": {"set": {"x-way": "routed"}}}}


def to(host: str = "cart", port: int = 80, **more: Any) -> dict[str, Any]:
    return {"destination": {"host": host, "port": {"number": port}}, **more}


def rule(**more: Any) -> dict[str, Any]:
    return {**SET, "route": [to()], "retries": {"attempts": 5}, **more}


def routes(*http: dict[str, Any], hosts: tuple[str, ...] = ("cart",), **spec: Any) -> d.Document:
    given = {"http": list(http)} if http else {}
    return l7.istio("VirtualService", "cart", hosts=list(hosts), **{"gateways": ["front", "mesh"], **given, **spec})


def at_edge(mesh: Mesh, host: str = HOST) -> tuple[Route, ...]:
    found = next(p for p in l7.served_by(mesh, "edge-1", "istio-system").ports if p.port == 80)
    return named(found.http[0].virtual_hosts, host)


def at_waypoint(mesh: Mesh) -> tuple[Route, ...]:
    return l7.behind(mesh, "waypoint-1").services[0].ports[0].virtual_hosts[0].routes


def named(hosts: tuple[VirtualHost, ...], domain: str) -> tuple[Route, ...]:
    return next(each.routes for each in hosts if domain in each.domains)


def acts(found: tuple[Route, ...]) -> list[bool]:
    """Which of these routes do more than send on."""
    return [
        bool(r.request.set or r.rewrite or r.fault or r.mirrors or not isinstance(r.action, Forward)) for r in found
    ]


@pytest.mark.parametrize(
    ("written", "host"),
    [
        (routes(rule()), HOST),
        (routes(rule(match=[{"uri": {"prefix": "/a"}}])), HOST),
        (routes(rule(match=[{"sourceNamespace": "istio-system"}])), HOST),
        (routes(rule(route=[to(weight=90), to("plain", weight=10)])), HOST),
        (routes(rule(route=[to("plain", weight=10), to(weight=90)]), hosts=("shop.example", "cart")), "shop.example"),
        (routes(rule(), hosts=("*.shop.svc.cluster.local",)), "*.shop.svc.cluster.local"),
        (routes({"fault": {"abort": {"httpStatus": 418, "percentage": {"value": 100}}}, "route": [to()]}), HOST),
    ],
    ids=["own name", "matched", "who calls", "split", "another name", "wildcard", "fault"],
)
def test_a_gateway_leaves_to_the_waypoint_what_the_waypoint_does(written: d.Document, host: str) -> None:
    mesh, problems = l7.world(*WORLD, written)
    assert not [p for p in problems if p.severity == "error"]
    (first,) = at_edge(mesh, host)
    assert isinstance(first.action, Forward)
    assert [(e.hostname, e.port, e.subset, e.broken) for e in first.action.destinations] == [(HOST, 80, "", "")]
    assert (acts((first,)), first.retry, first.source) == ([False], UNREACHED, "VirtualService/shop/cart")
    served = at_waypoint(mesh)[0]
    assert acts((served,)) == [True] and served.matches == first.matches


@pytest.mark.parametrize(
    "only",
    [
        {"match": [{"gateways": ["front"]}]},
        {"match": [{"port": 8443, "uri": {"prefix": "/"}}, {"port": 80, "gateways": ["front"]}]},
        {"match": [{"headers": {"@request.auth.claims.group": {"exact": "dev"}}}]},
        {"match": [{"scheme": {"exact": "http"}}]},
        {"match": [{"sourceLabels": {"istio": "edge"}}]},
        {"route": [to("plain")], "match": [{"authority": {"exact": "x"}}], "hosts": ("plain",)},
    ],
    ids=["of the gateway", "of its port", "of a claim", "of a scheme", "of labels", "of a service without waypoint"],
)
def test_what_the_waypoint_cannot_find_again_acts_at_the_gateway(only: dict[str, Any]) -> None:
    hosts = only.pop("hosts", ("cart",))
    mesh, _ = l7.world(*WORLD, routes(rule(**only), hosts=hosts))
    assert acts(at_edge(mesh, f"{hosts[0]}.shop.svc.cluster.local")) == [True]


@pytest.mark.parametrize(
    "more",
    [
        (routes(rule(), gateways=["front"]),),
        (routes(rule()), l7.istio("VirtualService", "older", hosts=["cart"], http=[{"route": [to()]}])),
        (
            routes(rule()),
            l7.api(
                "HTTPRoute",
                "cart",
                parentRefs=[{"group": "", "kind": "Service", "name": "cart"}],
                rules=[{"backendRefs": [{"name": "cart", "port": 80}]}],
            ),
        ),
    ],
    ids=["not bound to the mesh", "another is older", "an HTTPRoute counts"],
)
def test_what_the_waypoint_does_not_read_acts_at_the_gateway(more: tuple[d.Document, ...]) -> None:
    if len(more) > 1 and more[1]["metadata"]["name"] == "older":
        more[0]["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
        more[1]["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    mesh, _ = l7.world(*WORLD, *more)
    assert acts(at_edge(mesh)) == [True]
    assert acts(at_waypoint(mesh))[0] is False


def test_of_several_matches_each_acts_where_it_is_found() -> None:
    both = rule(match=[{"gateways": ["front"], "uri": {"exact": "/a"}}, {"uri": {"exact": "/b"}}])
    mesh, _ = l7.world(*WORLD, routes(both))
    found = at_edge(mesh)
    assert acts(found) == [False, True]
    assert [[m.path.value for m in r.matches if m.path] for r in found] == [["/b"], ["/a"]]
    assert [[m.path.value for m in r.matches if m.path] for r in at_waypoint(mesh)[:1]] == [["/b"]]


def test_a_rule_for_a_service_before_the_waypoint_is_found_there_though_a_sidecar_saw_it_first() -> None:
    mesh, _ = l7.world(*WORLD, routes(rule(), hosts=("plain", "cart"), gateways=["mesh"]))
    outbound = next(each for each in l7.seen_by(mesh, "web").http if each.port == 80)
    assert acts(named(outbound.virtual_hosts, "plain")) == [False]
    assert acts(at_waypoint(mesh)) == [True]


def ends(found: Any) -> list[tuple[str, int]]:
    return [(e.hostname.partition(".")[0], e.weight) for e in found]


def test_connections_are_divided_once() -> None:
    divided = [to(port=81, weight=50), to("plain", weight=50)]
    mesh, _ = l7.world(*WORLD, routes(tcp=[{"match": [{"port": 81}], "route": divided}]))
    chains = next(p for p in l7.served_by(mesh, "edge-1", "istio-system").ports if p.port == 81).tcp
    assert [ends(chain.destinations) for chain in chains] == [[("cart", 1)]]
    assert ends(l7.behind(mesh, "waypoint-1").services[0].ports[1].destinations) == [("cart", 50), ("plain", 50)]


def test_connections_of_a_match_of_the_gateway_alone_are_divided_there_and_not_at_the_waypoint() -> None:
    divided = [to(port=81, weight=50), to("plain", weight=50)]
    mesh, _ = l7.world(*WORLD, routes(tcp=[{"match": [{"port": 81, "gateways": ["front"]}], "route": divided}]))
    chains = next(p for p in l7.served_by(mesh, "edge-1", "istio-system").ports if p.port == 81).tcp
    assert [ends(chain.destinations) for chain in chains] == [[("cart", 50), ("plain", 50)]]
    assert ends(l7.behind(mesh, "waypoint-1").services[0].ports[1].destinations) == [("cart", 1)]


API_EDGE = (l7.gateway(), l7.gateway_pod("edge-2", "10.3.0.2", "edge"))
CHANGE = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-way", "value": "y"}]}}


def attached(*parents: dict[str, Any], namespace: str = "shop", **rest: Any) -> d.Document:
    """An HTTPRoute."""
    there = {"backendRefs": [{"name": "cart", "namespace": "shop", "port": 80}], "filters": [CHANGE], **rest}
    return l7.api("HTTPRoute", "cart", namespace, parentRefs=list(parents), rules=[there])


IN_EDGE, OF_CART = {"name": "edge"}, {"group": "", "kind": "Service", "name": "cart", "port": 80}


@pytest.mark.parametrize(
    ("written", "gateway", "waypoint"),
    [
        (attached(IN_EDGE, OF_CART), False, True),
        (attached(IN_EDGE), True, False),
        (attached(IN_EDGE, {**OF_CART, "port": 81}), True, False),
        (attached(IN_EDGE, {**OF_CART, "name": "plain"}), True, False),
    ],
    ids=["both", "gateway only", "another port", "another service"],
)
def test_a_rule_of_the_gateway_api_acts_once_too(written: d.Document, gateway: bool, waypoint: bool) -> None:
    mesh, _ = l7.world(*WORLD, *API_EDGE, written)
    (host,) = l7.served_by(mesh, "edge-2").ports[0].http[0].virtual_hosts
    assert acts(host.routes) == [gateway]
    assert acts(at_waypoint(mesh))[0] == waypoint
