from __future__ import annotations

from kit import documents as d
from kit import worlds as w
from kit.worlds import objects, routes, rules
from plait.model.compile import compile
from plait.model.views.changes import Changes, between


def changes(before: tuple[d.Document, ...], after: tuple[d.Document, ...]) -> Changes | None:
    first = objects(*before)
    mesh, _ = compile(first)
    return between(mesh, compile(objects(*after).sharing(first), mesh)[0])


CART = (d.service("cart", "10.96.0.1"), d.pod("cart-0", "10.0.0.1", labels={"app": "cart"}))
HOST = "cart.shop.svc.cluster.local"


def test_nothing_changed() -> None:
    assert changes(CART, CART) == Changes(frozenset(), (), frozenset(), frozenset(), False)


def test_a_route_concerns_its_host_and_a_wildcard_all_under_it() -> None:
    found = changes(CART, (*CART, routes("cart", [{"route": [{"destination": {"host": "cart"}}]}])))
    assert found is not None and found.of_hosts({HOST}) and not found.of_hosts({"user.shop.svc.cluster.local"})
    assert not found.pods and not found.offered
    assert found.among({HOST: 1, "user.shop.svc.cluster.local": 2}) == {HOST}
    wide = changes(CART, (*CART, rules("wide", host="*.shop.svc.cluster.local")))
    assert wide is not None and wide.among([HOST, "cart.other.svc.cluster.local"]) == {HOST}
    assert wide.of_hosts({HOST}) and not wide.of_hosts({"cart.other.svc.cluster.local"})


def test_a_pod_concerns_the_services_it_backs_and_backed() -> None:
    moved = d.pod("cart-0", "10.0.0.1", labels={"app": "user"})
    user = d.service("user", "10.96.0.2")
    found = changes((*CART, user), (CART[0], user, moved))
    assert found is not None and len(found.pods) == 1 and not found.offered
    assert found.services == {f"shop/{HOST}", "shop/user.shop.svc.cluster.local"}


def test_what_binds_more_than_hosts_concerns_all() -> None:
    gateway = d.pod("w-0", "10.0.0.9", labels={"gateway.networking.k8s.io/gateway-name": "w"})
    mesh_wide = d.document("telemetry.istio.io/v1", "Telemetry", "all", "istio-system", spec={"tracing": [{}]})
    assert changes(CART, (*CART, mesh_wide)) is None
    assert changes(CART, (*CART, gateway)) is None


def test_where_a_policy_names_a_service_a_pod_concerns_all_services_of_its_pods() -> None:
    """What a way to a port owes depends on all that lead there."""
    policy = d.allow("p", [], spec={"targetRefs": [{"kind": "Service", "name": "cart"}]})
    twin = d.service("twin", "10.96.0.2", spec={"selector": {"app": "cart"}})
    user = (d.service("user", "10.96.0.3"), d.pod("user-0", "10.0.0.8", labels={"app": "user"}))
    moved = d.service("cart", "10.96.0.1", target=8081)
    found = changes((*CART, twin, *user, policy), (moved, CART[1], twin, *user, policy))
    assert found is not None and found.offered
    assert found.services == {f"shop/{name}.shop.svc.cluster.local" for name in ("cart", "twin")}
    found = changes((*CART, twin, policy), (*CART, twin, policy, w.istio("DestinationRule", "r", host="cart")))
    assert found == Changes(frozenset([HOST]), (), frozenset(), frozenset(), False), "a rule is about its host alone"
