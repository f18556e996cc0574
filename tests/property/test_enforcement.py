"""Every policy and route is in the configuration of the one proxy the planner names, and in no other on the way.

Said of the documents Envoy gets: an object is added to a world, and exactly the proxies that must notice may change.
"""

from __future__ import annotations

from itertools import product
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import cells
from kit import documents as d
from kit import worlds as l7
from plait.model.enforcement import ClientMode, Kind, Point, ServerMode, decide

CLIENTS: tuple[ClientMode, ...] = get_args(ClientMode)
SERVERS: tuple[ServerMode, ...] = tuple(mode for mode in get_args(ServerMode) if mode != "gateway")
_SERVICE = {"targetRefs": [{"group": "", "kind": "Service", "name": "web"}]}
_PODS = {"selector": {"matchLabels": {"app": "web"}}}
_HTTP = [{"to": [{"operation": {"methods": ["GET"], "ports": ["8080"]}}]}]
_L4 = [{"from": [{"source": {"namespaces": ["elsewhere"]}}]}]
_TOKENS = {"jwtRules": [{"issuer": "somebody", "jwks": '{"keys": [{"kty": "oct", "alg": "HS256", "k": "c2VjcmV0"}]}'}]}


def _tokens(name: str, bound: dict[str, Any]) -> d.Document:
    return d.document("security.istio.io/v1", "RequestAuthentication", name, spec={**bound, **_TOKENS})


_SENT = [{"headers": {"request": {"set": {"x-way": "routed"}}}, "route": [{"destination": {"host": "web"}}]}]
_ADDED = {
    "backendRefs": [{"name": "web", "port": 80}],
    "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-way", "value": "y"}]}}],
}
CORPUS: dict[str, tuple[Kind, d.Document]] = {
    "VirtualService": ("route", l7.routes("web", _SENT)),
    "VirtualService of tcp": (
        "route",
        l7.istio(
            "VirtualService",
            "bytes",
            hosts=["web"],
            tcp=[{"route": [{"destination": {"host": "client", "port": {"number": 80}}}]}],
        ),
    ),
    "HTTPRoute": (
        "route",
        l7.api(
            "HTTPRoute", "web", parentRefs=[{"group": "", "kind": "Service", "name": "web", "port": 80}], rules=[_ADDED]
        ),
    ),
    "DestinationRule": ("balancing", l7.rules("web", trafficPolicy={"connectionPool": {"tcp": {"maxConnections": 7}}})),
    "ALLOW at L4": ("l4-policy", d.allow("l4", _L4, spec=_PODS)),
    "DENY at L4": ("l4-policy", d.allow("l4-deny", _L4, action="DENY", spec=_PODS)),
    "ALLOW by selector": ("l7-policy", d.allow("selected", _HTTP, spec=_PODS)),
    "DENY by selector": ("l7-policy", d.allow("selected-deny", _HTTP, action="DENY", spec=_PODS)),
    "ALLOW by target": ("waypoint-policy", d.allow("targeted", _HTTP, spec=_SERVICE)),
    "DENY by target": ("waypoint-policy", d.allow("targeted-deny", _HTTP, action="DENY", spec=_SERVICE)),
    "tokens by target": ("waypoint-policy", _tokens("targeted", _SERVICE)),
    "tokens by selector": ("authentication", _tokens("selected", _PODS)),
    "rate limit": ("rate-limit", l7.limits("counted", rateLimits=[{"name": "all", "requests": 3, "per": "1h"}])),
    "circuit breaker": ("load-limit", l7.limits("breaker", circuitBreaker={"maxRequests": 7})),
    "adaptive concurrency": ("load-limit", l7.limits("adaptive", adaptiveConcurrency={"percentile": 90})),
    "connections": ("load-limit", l7.limits("connections", connections={"max": 5, "rate": {"connections": 2}})),
    "PeerAuthentication": ("peer-mode", d.peers("strict", "STRICT", spec=_PODS)),
}


MESH_ONLY = ("VirtualService", "VirtualService of tcp", "HTTPRoute")
"""Bound to the mesh: a gateway that sends straight to the server serves the routes that name the gateway instead."""


def meant(client: ClientMode, server: ServerMode, name: str) -> set[Point | str]:
    decision = decide(client, server, CORPUS[name][0])
    return {decision.point, decision.guard} - {"nowhere", "", "gateway" if name in MESH_ONLY else ""}


@pytest.mark.parametrize("name", CORPUS)
def test_an_object_is_told_to_its_point_and_guard_and_to_nobody_else(name: str) -> None:
    _, document = CORPUS[name]
    wrong = []
    for client, server in product(CLIENTS, SERVERS):
        before = cells.way(client, server, cells.world(client, server))
        after = cells.way(client, server, cells.world(client, server, document))
        told, wanted = cells.changed(before, after), meant(client, server, name)
        if told != wanted:
            wrong.append((client, server, sorted(told), sorted(wanted)))
    assert not wrong, "\n".join(map(str, wrong))


EDGE = l7.istio(
    "Gateway",
    "front",
    selector={"gateway.networking.k8s.io/gateway-name": "edge"},
    servers=[{"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
)
_THERE = [{"destination": {"host": "web", "port": {"number": 80}}}]
BOTH = l7.istio(
    "VirtualService", "both", hosts=["web"], gateways=["front", "mesh"], http=[{**_SENT[0], "route": _THERE}]
)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_routes_bound_to_a_gateway_and_to_the_mesh_act_at_their_point_and_nowhere_else(
    client: ClientMode, server: ServerMode
) -> None:
    told = cells.way(client, server, cells.world(client, server, EDGE, BOTH))
    acting = {point for point, documents in told.items() if "x-way" in str(documents)}
    assert acting == {decide(client, server, "route").point} - {"nowhere"}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CLIENTS), st.sampled_from(SERVERS), st.lists(st.sampled_from(sorted(CORPUS)), unique=True))
def test_beside_others_too_it_is_told_to_nobody_else(client: ClientMode, server: ServerMode, names: list[str]) -> None:
    there: list[d.Document] = []
    before = cells.way(client, server, cells.world(client, server))
    for name in names:
        there.append(CORPUS[name][1])
        after = cells.way(client, server, cells.world(client, server, *there))
        assert cells.changed(before, after) <= meant(client, server, name), (name, names)
        before = after
