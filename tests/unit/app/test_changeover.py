"""A service whose waypoint comes or goes: for how long sidecars judge by themselves, and when clients hear."""

from __future__ import annotations

from kit import documents as d
from kit.worlds import gateway_pod, seen_by, sidecar_pod, waypoint, world
from plait.app.changeover import LATER, SECONDS, Changeover
from plait.base.wellknown import OPTIONAL_WAYPOINT
from plait.diagnose.requests import Request, policy_matches
from plait.model.mesh import Mesh

CART = "shop/cart.shop.svc.cluster.local"
WAYPOINT = "shop/waypoint"
DENIED = d.document(
    "security.istio.io/v1",
    "AuthorizationPolicy",
    "paths",
    "shop",
    spec={
        "targetRefs": [{"group": "", "kind": "Service", "name": "cart"}],
        "action": "DENY",
        "rules": [{"to": [{"operation": {"paths": ["/denied"]}}]}],
    },
)
THROUGH = Request("GET", "/denied", port=8080, principal="spiffe://cluster.local/ns/shop/sa/waypoint")
STRAIGHT = Request("GET", "/denied", port=8080, principal="spiffe://cluster.local/ns/shop/sa/web")
OPEN = Request("GET", "/open", port=8080, principal="spiffe://cluster.local/ns/shop/sa/web")


def shop(name: str, beside: bool = True, optional: str = "") -> Mesh:
    labels = {"istio.io/use-waypoint": name} if name else {}
    pod = sidecar_pod if beside else d.pod
    address = d.service("waypoint", "10.9.0.7", labels={"gateway.networking.k8s.io/gateway-name": "waypoint"})
    proxy = gateway_pod("waypoint-0", "10.0.0.2", "waypoint", account="waypoint")
    notes = {"annotations": {OPTIONAL_WAYPOINT: optional}} if optional else {}
    cart = d.service("cart", "10.9.0.1", labels=labels, **notes)
    return world(waypoint(), proxy, address, cart, DENIED, pod("cart-1", "10.0.0.1", labels={"app": "cart"}))[0]


def refused(mesh: Mesh) -> list[bool]:
    """Does the sidecar refuse what the waypoint sends, what comes straight, and what no policy denies?"""
    policies = seen_by(mesh, "cart-1").enforced.policies
    return [any(policy_matches(each, asked) for each in policies) for asked in (THROUGH, STRAIGHT, OPEN)]


def way(mesh: Mesh) -> tuple[str, bool]:
    """What sidecars of clients know, and whether nodes know the way."""
    return mesh.l7.services[CART].waypoint, mesh.services[CART].waypoint is not None


ITSELF = [False, True, False]
"""Judges what comes straight, and lets in what the waypoint has judged."""
GUARDED = [False, True, True]


def test_before_and_after_it_the_sidecar_judges_all_or_lets_in_the_waypoint_only() -> None:
    assert refused(shop("")) == [True, True, False]
    assert refused(shop("waypoint")) == GUARDED


def test_a_waypoint_that_comes_is_optional_before_the_first_client_hears_and_until_the_last_has() -> None:
    found = Changeover()
    assert found.told(shop(""), 0.0).l7.services[CART].optional_waypoint == "" and found.ends is None
    now = found.told(shop("waypoint"), 10.0)
    assert now.l7.services[CART].optional_waypoint == WAYPOINT
    assert (way(now), refused(now), found.ends) == (("", False), ITSELF, 10.0 + LATER)
    now = found.told(shop("waypoint"), 10.0 + LATER)
    assert (way(now), refused(now), found.ends) == ((WAYPOINT, True), ITSELF, 10.0 + LATER + SECONDS)
    now = found.told(shop("waypoint"), 10.0 + LATER + SECONDS)
    assert (way(now), refused(now), found.ends) == ((WAYPOINT, True), GUARDED, None)


def test_a_waypoint_that_goes_serves_until_the_last_client_has_heard() -> None:
    found = Changeover()
    found.told(shop("waypoint"), 0.0)
    now = found.told(shop(""), 10.0)
    assert (way(now), refused(now)) == ((WAYPOINT, True), ITSELF)
    now = found.told(shop(""), 10.0 + LATER)
    assert (way(now), refused(now)) == (("", False), ITSELF)
    assert now.l7.services[CART].optional_waypoint == WAYPOINT, "some still send there"
    now = found.told(shop(""), 10.0 + LATER + SECONDS)
    assert now.l7.services[CART].optional_waypoint == "" and refused(now) == [True, True, False]


def test_one_who_changes_his_mind_at_once_bothers_no_client() -> None:
    found = Changeover()
    found.told(shop(""), 0.0)
    found.told(shop("waypoint"), 10.0)
    now = found.told(shop(""), 10.5)
    assert (way(now), refused(now)) == (("", False), ITSELF)


def test_without_sidecars_there_is_nothing_to_hand_over() -> None:
    found, after = Changeover(), shop("waypoint", beside=False)
    found.told(shop("", beside=False), 0.0)
    assert found.told(after, 1.0) is after and found.ends is None


def test_what_another_change_does_meanwhile_is_told_at_once() -> None:
    found = Changeover()
    found.told(shop(""), 0.0)
    found.told(shop("waypoint"), 10.0)
    now = found.told(world(*[])[0], 10.1)
    assert now.l7.services == {} and found.ends is None


def test_who_made_the_waypoint_optional_beforehand_waits_for_nothing() -> None:
    found = Changeover()
    found.told(shop("", optional=WAYPOINT), 0.0)
    now = found.told(shop("waypoint", optional=WAYPOINT), 10.0)
    assert (way(now), refused(now), found.ends) == ((WAYPOINT, True), ITSELF, None)
