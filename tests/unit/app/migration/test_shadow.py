"""Two worlds are compared request by request, before anything is changed."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.worlds import routes, sidecar_pod, world
from plait.app.migration.outlook import Outlook, outlook
from plait.app.migration.plan import Scope
from plait.app.migration.shadow import differing
from plait.model.modes import Mode

SERVICE = d.service("cart", "10.96.0.5")
CART = sidecar_pod("cart-1", "10.0.0.1", labels={"app": "cart"})
CLIENT = d.pod("client-1", "10.0.0.2", "duo", account="client")


def policy(name: str, **spec: Any) -> d.Document:
    return d.document("security.istio.io/v1", "AuthorizationPolicy", name, spec=spec)


TARGET = [{"group": "", "kind": "Service", "name": "cart"}]
DENY = policy("paths", targetRefs=TARGET, action="DENY", rules=[{"to": [{"operation": {"paths": ["/x"]}}]}])
CALLER = [{"from": [{"source": {"principals": ["*/ns/duo/sa/client"]}}]}]
BY_NAME = policy("who", targetRefs=TARGET, rules=CALLER)
BY_SELECTOR = policy("who", selector={"matchLabels": {"app": "cart"}}, rules=CALLER)


def seen(to: Mode, *documents: d.Document) -> Outlook:
    every = (SERVICE, CART, CLIENT, *documents)
    return outlook(every, world(*every)[0], Scope("shop"), to)


def test_requests_are_those_that_policies_and_routes_tell_apart() -> None:
    route = routes(
        "cart",
        [{"name": "new", "match": [{"uri": {"prefix": "/new"}}], "route": [{"destination": {"host": "cart"}}]}],
        hosts=["cart"],
    )
    found = seen("ambient", DENY, route)
    mine = {words.removeprefix("duo/client (ambient) -> shop/cart:80 "): said for words, said in found.now.items()}
    assert mine["GET /x"] == "refused"
    assert {"GET /", "GET /-", "GET /x", "GET /new-"} <= mine.keys()
    assert {each.request.partition(" ->")[0] for each in found.differences} == {"duo/client (ambient)"}
    told = str(found.differences[0])
    assert told.endswith("GET /: allowed before, allowed, route: none of them (404) after"), "it has no route today"


def test_policies_by_name_are_judged_alike_at_sidecar_and_waypoint() -> None:
    found = seen("ambient", DENY, BY_NAME)
    assert found.plan.creates_waypoint and len(found.now) >= 6
    assert set(found.now.values()) == {"allowed", "refused"}
    assert found.now == found.then


def test_an_identity_that_the_server_no_longer_sees_is_told() -> None:
    """Behind a waypoint the server's own proxy sees the waypoint."""
    found = seen("ambient", DENY, BY_SELECTOR)
    assert "duo/client (ambient) -> shop/cart:80 GET /: allowed before, refused after" in map(str, found.differences)
    assert found.plan.lost == ()


def test_only_what_both_know_can_differ() -> None:
    assert differing({"a": "allowed", "b": "refused"}, {"b": "allowed", "c": "refused"})[0].request == "b"
    assert differing({"a": "allowed"}, {}) == ()


def test_pods_that_are_going_are_not_judged() -> None:
    """They leave the mesh before they end, so nothing would refuse anybody there."""
    going = d.pod("cart-0", "10.0.0.9", labels={"app": "cart"}, captured=False, ready=False)
    assert seen("ambient", DENY, going).now == seen("ambient", DENY).now
