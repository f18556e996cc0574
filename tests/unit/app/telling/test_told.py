"""What is told of services whose ways change: to node proxies, to L7 proxies, and which guards stand."""

from __future__ import annotations

from msgspec import structs

from kit import documents as d
from kit.worlds import gateway_pod, seen_by, sidecar_pod, waypoint, world
from plait.app.telling.order import Change
from plait.app.telling.told import told, ways
from plait.base.wellknown import OPTIONAL_WAYPOINT
from plait.diagnose.requests import Request, policy_matches
from plait.model.mesh import Mesh

CART = "shop/cart.shop.svc.cluster.local"
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
STRAIGHT = Request("GET", "/denied", port=8080, principal="spiffe://cluster.local/ns/shop/sa/web")
OPEN = Request("GET", "/open", port=8080, principal="spiffe://cluster.local/ns/shop/sa/web")


def through(name: str) -> Request:
    return Request("GET", "/denied", port=8080, principal=f"spiffe://cluster.local/ns/shop/sa/{name}")


def shop(name: str, *, sidecar: bool = False, policy: bool = True, optional: str = "") -> Mesh:
    """Service cart behind waypoint `name` ("" none); there are the waypoints `waypoint` and `other`."""
    found = [waypoint(), waypoint("other")]
    for each, last in (("waypoint", 7), ("other", 8)):
        found.append(gateway_pod(f"{each}-0", f"10.0.0.{last}", each, account=each))
        labels = {"gateway.networking.k8s.io/gateway-name": each}
        found.append(d.service(each, f"10.9.0.{last}", labels=labels))
    labels = {"istio.io/use-waypoint": name} if name else {}
    notes = {"annotations": {OPTIONAL_WAYPOINT: optional}} if optional else {}
    pod = sidecar_pod if sidecar else d.pod
    found += [d.service("cart", "10.9.0.1", labels=labels, **notes), pod("cart-1", "10.0.0.1", labels={"app": "cart"})]
    return world(*found, *([DENIED] if policy else []))[0]


def change(before: Mesh, after: Mesh, *, moved: bool = False) -> Mesh:
    """What is told at a stage, when `before` was told last and `after` is meant."""
    return told(after, before, {CART: Change(ways(before)[CART], ways(after)[CART], moved)})


def refused(mesh: Mesh, *asked: Request) -> list[bool]:
    """By the sidecar of the server."""
    policies = seen_by(mesh, "cart-1").enforced.policies
    return [any(policy_matches(each, request) for each in policies) for request in asked]


def way(mesh: Mesh) -> tuple[str, bool]:
    """What L7 clients know, and whether nodes know of a waypoint."""
    return mesh.l7.services[CART].waypoint, mesh.services[CART].waypoint is not None


def guards(mesh: Mesh) -> list[str]:
    (pod,) = (each for each in mesh.workloads.values() if each.name == "cart-1")
    return [name for name in pod.policies if "/plait_guard_" in name]


def admitted(mesh: Mesh) -> set[str]:
    """Who gets past the guard of the server without a sidecar; each rule is one."""
    found = [mesh.policies[name] for name in guards(mesh)]
    matches = (match for each in found for group in each.groups for rule in group.rules for match in rule.matches)
    return {text.value.rpartition("/")[2] for match in matches for text in match.not_principals}


def test_nothing_is_made_anew_while_nothing_changes() -> None:
    mesh = shop("waypoint")
    assert told(mesh, shop(""), {}) is mesh
    assert ways(mesh) is ways(mesh)
    routed = structs.replace(mesh, l7=structs.replace(mesh.l7, routings={}))
    assert ways(routed, mesh) is ways(mesh), "a route moves nothing"
    moved = structs.replace(mesh, services={})
    assert ways(moved, mesh).keys() < ways(mesh).keys()


def test_a_waypoint_that_comes_is_known_to_itself_first_then_to_all_clients_and_then_the_guard_stands() -> None:
    before, after = shop("", policy=False), shop("waypoint")
    first = change(before, after)
    assert (way(first), guards(first)) == (("", False), [])
    assert first.l7.services[CART].behind("shop/waypoint") and not first.l7.services[CART].behind("shop/other")
    second = told(after, first, {CART: Change(ways(before)[CART], ways(after)[CART], moved=True)})
    assert (way(second), guards(second)) == (("shop/waypoint", True), [])
    assert guards(after) != []


def test_a_waypoint_that_goes_serves_until_the_last_client_has_left_and_its_guard_goes_first() -> None:
    before, after = shop("waypoint", policy=False), shop("", policy=False)
    first = change(before, after)
    assert (way(first), guards(first)) == (("shop/waypoint", True), [])
    second = change(before, after, moved=True)
    assert way(second) == ("", False) and second.l7.services[CART].behind("shop/waypoint")


def test_sidecars_judge_what_passed_neither_waypoint_while_one_comes_or_goes_or_makes_way_for_another() -> None:
    waypoints = through("waypoint"), through("other")
    for one, other in (("", "waypoint"), ("waypoint", ""), ("waypoint", "other")):
        before, after = shop(one, sidecar=True), shop(other, sidecar=True)
        for moved in (False, True):
            now = change(before, after, moved=moved)
            asked = [each for each, name in zip(waypoints, ("waypoint", "other"), strict=True) if name in (one, other)]
            assert refused(now, *asked, STRAIGHT, OPEN) == [*(False for _ in asked), True, False], (one, other, moved)


def test_one_waypoint_after_another_where_a_guard_stands_both_are_let_in_and_nobody_else() -> None:
    before, after = shop("waypoint"), shop("other")
    assert (admitted(before), admitted(after)) == ({"waypoint"}, {"other"})
    first = change(before, after)
    assert (way(first)[0], admitted(first)) == ("shop/waypoint", {"waypoint", "other"})
    again = told(after, first, {CART: Change(ways(before)[CART], ways(after)[CART], moved=True)})
    assert (way(again)[0], admitted(again), len(guards(again))) == ("shop/other", {"waypoint", "other"}, 1)


def test_what_refused_everybody_refuses_on_but_the_waypoint() -> None:
    """A policy of a service without a waypoint, at a pod without a sidecar, lets nobody in."""
    assert admitted(shop("")) == set() and guards(shop("")) != []
    for one, other in (("", "waypoint"), ("waypoint", "")):
        for moved in (False, True):
            assert admitted(change(shop(one), shop(other), moved=moved)) == {"waypoint"}


def test_a_pod_that_is_new_is_guarded_from_its_first_moment() -> None:
    empty, after = Mesh(), shop("waypoint")
    assert guards(told(after, empty, {CART: Change(ways(shop(""))[CART], ways(after)[CART])})) == guards(after)


def test_what_a_user_made_optional_stays_so() -> None:
    after = shop("waypoint", optional="shop/other")
    assert change(shop(""), after).l7.services[CART].optional_waypoints == ("shop/other", "shop/waypoint")
