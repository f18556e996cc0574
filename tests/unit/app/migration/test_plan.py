"""What moves, what would be lost, and in which order, on small worlds."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.worlds import api, routes, sidecar_pod, waypoint, world
from plait.app.migration.plan import Plan, Scope, plan
from plait.app.migration.steps import steps
from plait.model.modes import Mode


def policy(**spec: Any) -> d.Document:
    return d.document("security.istio.io/v1", "AuthorizationPolicy", "paths", "shop", spec=spec)


SERVICE = d.document(
    "v1",
    "Service",
    "cart",
    "shop",
    spec={"clusterIP": "10.96.0.5", "selector": {"app": "cart"}, "ports": [{"name": "http", "port": 80}]},
)
TIMEOUT = routes("cart", [{"timeout": "1s", "route": [{"destination": {"host": "cart"}}]}], hosts=["cart"])
BY_SELECTOR = policy(
    selector={"matchLabels": {"app": "cart"}},
    rules=[{"to": [{"operation": {"paths": ["/x"]}}]}],
)
BY_TARGET = policy(
    targetRefs=[{"group": "", "kind": "Service", "name": "cart"}],
    action="DENY",
    rules=[{"to": [{"operation": {"paths": ["/x"]}}]}],
)


def sidecar(name: str = "cart-1", address: str = "10.0.0.1") -> d.Document:
    return sidecar_pod(name, address, labels={"app": "cart"})


def ambient(name: str = "cart-1", address: str = "10.0.0.1") -> d.Document:
    return d.pod(name, address, labels={"app": "cart"})


def planned(to: Mode, *documents: d.Document, workload: str = "") -> Plan:
    return plan(world(*documents)[0], Scope("shop", workload), to)


def verbs(found: Plan) -> list[str]:
    return [step.verb for step in steps(found)]


def test_without_http_policies_sidecars_go_and_no_waypoint_comes() -> None:
    found = planned("ambient", sidecar(), SERVICE)
    assert (found.waypoint, found.services, found.changes, found.lost) == ("", (), (), ())
    assert [(move.mode, move.pods, move.restarts) for move in found.moves] == [("sidecar", 1, True)]
    assert verbs(found) == ["compare", "label", "restart", "settle", "unlabel", "verify"]
    assert (found.before.proxies, found.after.proxies) == (1, 0)


def test_what_reads_http_gets_a_waypoint_before_the_sidecars_go() -> None:
    found = planned("ambient", sidecar(), SERVICE, TIMEOUT, BY_TARGET)
    assert (found.waypoint, found.creates_waypoint, found.services) == ("shop/waypoint", True, ("cart",))
    moved = {(each.object, each.client): (each.before, each.after) for each in found.changes}
    assert moved[("VirtualService/shop/cart", "sidecar")] == ("client sidecar", "waypoint")
    assert moved[("AuthorizationPolicy/shop/paths", "sidecar")] == ("server sidecar", "waypoint")
    assert found.lost == ()
    assert verbs(found) == [
        *("waypoint", "hold", "attach", "compare", "label", "restart", "settle", "unlabel", "release", "verify"),
    ]


def test_a_waypoint_that_is_there_is_used() -> None:
    found = planned("ambient", sidecar(), SERVICE, TIMEOUT, waypoint())
    assert found.waypoint == "shop/waypoint" and not found.creates_waypoint
    assert verbs(found)[:2] == ["hold", "attach"]


def test_a_policy_by_selector_that_reads_http_is_lost_at_l4_and_says_how_not_to() -> None:
    (lost,) = planned("ambient", sidecar(), SERVICE, BY_SELECTOR).lost
    assert (lost.object, lost.kind, lost.after) == ("AuthorizationPolicy/shop/paths", "l7-policy", "nowhere")
    assert "attach it by targetRefs" in lost.reason


def test_leaving_the_mesh_loses_every_policy() -> None:
    assert {each.object for each in planned("none", sidecar(), SERVICE, BY_TARGET, TIMEOUT).lost} == {
        "AuthorizationPolicy/shop/paths",
        "VirtualService/shop/cart",
    }
    quiet = planned("none", ambient(), SERVICE)
    assert quiet.lost == () and verbs(quiet) == ["compare", "label", "unlabel", "settle", "verify"]


def test_to_sidecars_everything_stays_enforced_and_the_old_label_goes_last() -> None:
    found = planned("sidecar", ambient(), SERVICE, BY_TARGET)
    assert found.lost == () and found.services == ()
    assert verbs(found) == ["compare", "label", "restart", "settle", "unlabel", "verify"]


def test_only_the_workload_that_is_named_moves_and_who_is_there_already_does_not() -> None:
    other = sidecar_pod("till-1", "10.0.0.2", labels={"app": "till"})
    found = planned("ambient", sidecar(), other, SERVICE, workload="cart-1")
    assert [move.name for move in found.moves] == ["cart-1"]
    done = planned("ambient", ambient(), SERVICE)
    assert done.empty and steps(done) == ()


def test_a_gateway_is_nobody_s_workload() -> None:
    gateway = api("Gateway", "edge", gatewayClassName="istio", listeners=[])
    pod = d.pod("edge-0", "10.0.0.9", labels={"gateway.networking.k8s.io/gateway-name": "edge"})
    assert planned("ambient", gateway, pod).moves == ()


def test_a_pod_that_is_going_is_not_counted_as_outside_the_mesh() -> None:
    going = d.pod("cart-0", "10.0.0.9", labels={"app": "cart"}, captured=False, ready=False)
    found = planned("ambient", sidecar(), going, SERVICE, BY_TARGET)
    assert {move.mode for move in found.moves} == {"sidecar"} and found.lost == ()
    outside = d.pod("client-0", "10.0.0.9", "duo", captured=False)
    assert {each.client for each in planned("ambient", sidecar(), outside, SERVICE, BY_TARGET).lost} == {"none"}
