from __future__ import annotations

from kit import documents as d
from kit.worlds import namespace, objects, routes, rules
from plait.model.compile import compile
from plait.model.views.changes import Changes, between


def changes(before: tuple[d.Document, ...], after: tuple[d.Document, ...]) -> Changes | None:
    first = objects(*before)
    mesh, _ = compile(first)
    return between(mesh, compile(objects(*after).sharing(first), mesh)[0])


CART = (d.service("cart", "10.96.0.1"), d.pod("cart-0", "10.0.0.1", labels={"app": "cart"}))
HOST = "cart.shop.svc.cluster.local"


def test_nothing_changed() -> None:
    assert changes(CART, CART) == Changes(frozenset(), (), frozenset(), False)


def test_a_route_concerns_its_host_and_a_wildcard_all_under_it() -> None:
    found = changes(CART, (*CART, routes("cart", [{"route": [{"destination": {"host": "cart"}}]}])))
    assert found is not None and found.of_hosts({HOST}) and not found.of_hosts({"user.shop.svc.cluster.local"})
    assert not found.beyond_routes
    assert found.among({HOST: 1, "user.shop.svc.cluster.local": 2}) == {HOST}
    wide = changes(CART, (*CART, rules("wide", host="*.shop.svc.cluster.local")))
    assert wide is not None and wide.among([HOST, "cart.other.svc.cluster.local"]) == {HOST}
    assert wide.of_hosts({HOST}) and not wide.of_hosts({"cart.other.svc.cluster.local"})


def test_a_pod_concerns_the_services_it_backs_and_backed() -> None:
    moved = d.pod("cart-0", "10.0.0.1", labels={"app": "user"})
    user = d.service("user", "10.96.0.2")
    found = changes((*CART, user), (CART[0], user, moved))
    assert found is not None and found.beyond_routes
    assert found.services == {f"shop/{HOST}", "shop/user.shop.svc.cluster.local"}


def test_what_binds_more_than_hosts_concerns_all() -> None:
    gateway = d.pod("w-0", "10.0.0.9", labels={"gateway.networking.k8s.io/gateway-name": "w"})
    mesh_wide = d.document("telemetry.istio.io/v1", "Telemetry", "all", "istio-system", spec={"tracing": [{}]})
    assert changes(CART, (*CART, mesh_wide)) is None
    assert changes(CART, (*CART, gateway)) is None
    policy = d.document(
        "security.istio.io/v1", "AuthorizationPolicy", "p", spec={"targetRefs": [{"kind": "Service", "name": "cart"}]}
    )
    other = d.pod("cart-1", "10.0.0.2", labels={"app": "cart"})
    assert changes((*CART, policy), (*CART, policy, other)) is None, "a policy binds ports by all ways to them"
    assert changes((*CART, policy), (*CART, policy, namespace("more"))) is not None
