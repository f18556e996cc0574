"""Stories of the guard: what gets past the waypoint of a policy is refused by the server's own proxy, or there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kit import documents as d
from kit import worlds as l7
from kit.envoys import validate
from kit.l7 import composed
from plait.envoy.roles import sidecar, waypoint
from plait.model.compile.traffic.report import GUARDED
from plait.model.decision import Flow, decide
from plait.model.index import index_of
from plait.model.mesh import Mesh
from plait.model.routes import Forward
from plait.model.views import bindings
from plait.wds import messages as wire
from plait.wds.decode import Store
from plait.wds.encode import encode

USE = {"istio.io/use-waypoint": "waypoint"}
CART = d.service("cart", "10.9.0.1", labels=USE)
POD = d.pod("cart-1", "10.0.0.4", labels={"app": "cart"}, account="cart")
RUNNING = l7.gateway_pod("waypoint-1", "10.4.0.1", "waypoint", account="waypoint")
WORLD = (l7.waypoint(), RUNNING, CART, POD)
WAYPOINT = "spiffe://cluster.local/ns/shop/sa/waypoint"
CLIENT = "spiffe://cluster.local/ns/shop/sa/web"


def bound(name: str, *services: str, gateway: str = "", **spec: Any) -> d.Document:
    refs = [{"group": "", "kind": "Service", "name": each} for each in services]
    if gateway:
        refs.append({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway})
    return d.allow(name, [{"to": [{"operation": {"methods": ["GET"]}}]}], spec={"targetRefs": refs, **spec})


def tokens(name: str, service: str) -> d.Document:
    refs = [{"group": "", "kind": "Service", "name": service}]
    rules = [{"issuer": "me", "jwks": '{"keys": []}'}]
    return d.document(
        "security.istio.io/v1", "RequestAuthentication", name, spec={"targetRefs": refs, "jwtRules": rules}
    )


def enters(mesh: Mesh, who: str, port: int = 8080, pod: str = "cart-1", address: str = "10.0.0.4") -> bool:
    """Does the pod's own proxy let this identity in?"""
    workload = mesh.workloads[f"Kubernetes//Pod/shop/{pod}"]
    policies = bindings.effective(mesh, index_of(mesh), "shop", workload.policies)
    return decide(policies, Flow(who, "10.0.0.9", address, port)).allowed


def guards(mesh: Mesh, pod: str = "cart-1") -> tuple[str, ...]:
    return mesh.workloads[f"Kubernetes//Pod/shop/{pod}"].policies


def told(problems: tuple[Any, ...]) -> list[tuple[str, str]]:
    return [(p.kind, p.name) for p in problems if p.code == GUARDED]


def test_only_the_waypoint_enters_the_port_that_a_policy_binds() -> None:
    mesh, problems = l7.world(*WORLD, bound("get", "cart"))
    assert told(problems) == []
    assert guards(mesh) == ("shop/plait_guard_waypoint_8080",)
    assert enters(mesh, WAYPOINT)
    assert not enters(mesh, CLIENT)
    assert not enters(mesh, ""), "plaintext has no identity, so it did not come through the waypoint"
    assert enters(mesh, CLIENT, port=9090), "no service is served there"


def test_a_token_demanded_of_a_service_is_guarded_too() -> None:
    mesh, _ = l7.world(*WORLD, tokens("jwt", "cart"))
    assert enters(mesh, WAYPOINT) and not enters(mesh, CLIENT)


@pytest.mark.parametrize(
    "more",
    [
        (),
        (l7.routes("cart", [{"route": [{"destination": {"host": "cart"}}]}]),),
        (l7.rules("cart", trafficPolicy={"loadBalancer": {"simple": "RANDOM"}}),),
        (bound("audit", "cart", action="AUDIT"),),
        (d.allow("own", [{"to": [{"operation": {"ports": ["8080"]}}]}]),),
        (bound("other", "elsewhere"),),
    ],
    ids=["nothing", "routes", "balancing", "audit", "by namespace", "of another service"],
)
def test_what_refuses_nobody_at_the_waypoint_needs_no_guard(more: tuple[d.Document, ...]) -> None:
    mesh, _ = l7.world(*WORLD, *more)
    assert guards(mesh) == ()
    assert enters(mesh, CLIENT)


def test_a_dry_run_refuses_nobody_so_nothing_is_guarded() -> None:
    trial = bound("get", "cart")
    trial["metadata"]["annotations"] = {"istio.io/dry-run": "true"}
    assert guards(l7.world(*WORLD, trial)[0]) == ()


def test_a_waypoint_that_does_not_exist_lets_nobody_in_and_the_policy_says_so() -> None:
    mesh, problems = l7.world(CART, POD, bound("get", "cart"))
    assert guards(mesh) == ("shop/plait_guard_waypoint_8080",)
    assert not enters(mesh, WAYPOINT) and not enters(mesh, CLIENT)
    assert told(problems) == [("AuthorizationPolicy", "get")]
    said = next(p.message for p in problems if p.code == GUARDED)
    assert "shop/waypoint" in said and "plait waypoint apply" in said


def test_a_service_without_waypoint_refuses_everybody_where_a_policy_names_it() -> None:
    free = d.service("cart", "10.9.0.1")
    mesh, problems = l7.world(l7.waypoint(), RUNNING, free, POD, bound("get", "cart"))
    assert guards(mesh) == ("shop/plait_guard_NOBODY_8080",)
    assert not enters(mesh, WAYPOINT) and not enters(mesh, CLIENT) and enters(mesh, CLIENT, port=1)
    assert told(problems) == [("AuthorizationPolicy", "get")]


def test_a_waypoint_for_workloads_does_not_serve_the_policy_of_a_service() -> None:
    narrow = l7.waypoint("waypoint", "shop", labels={"istio.io/waypoint-for": "workload"})
    mesh, problems = l7.world(narrow, RUNNING, CART, POD, bound("get", "cart"))
    assert guards(mesh) == ("shop/plait_guard_NOBODY_8080",)
    assert told(problems) == [("AuthorizationPolicy", "get")]


def test_a_waypoint_scaled_to_nothing_stays_the_only_one_who_may_enter() -> None:
    mesh, _ = l7.world(l7.waypoint(), CART, POD, bound("get", "cart"))
    assert enters(mesh, WAYPOINT) and not enters(mesh, CLIENT)


def test_the_account_of_the_waypoint_s_pods_and_of_its_annotation_is_its_identity() -> None:
    other = d.pod("waypoint-1", "10.4.0.1", labels=RUNNING["metadata"]["labels"], account="hand-made")
    named = l7.waypoint()
    named["metadata"]["annotations"] = {"gateway.istio.io/service-account": "chosen"}
    mesh, _ = l7.world(named, other, CART, POD, bound("get", "cart"))
    accounts = ("hand-made", "chosen", "waypoint")
    assert [enters(mesh, f"spiffe://cluster.local/ns/shop/sa/{a}") for a in accounts] == [True, True, False]


def test_a_waypoint_that_shares_its_account_cannot_be_told_apart_and_says_so() -> None:
    mesh, problems = l7.world(*WORLD, d.pod("job", "10.0.0.7", account="waypoint"), bound("get", "cart"))
    assert told(problems) == [("Gateway", "waypoint")]
    assert enters(mesh, WAYPOINT)


def test_a_pod_has_its_guard_before_it_is_captured() -> None:
    bare = d.pod("cart-1", "10.0.0.4", labels={"app": "cart"}, captured=False)
    assert guards(l7.world(l7.waypoint(), RUNNING, CART, bare, bound("get", "cart"))[0]) != ()


def test_a_waypoint_before_the_workload_guards_all_its_ports() -> None:
    narrow = l7.waypoint("waypoint", "shop", labels={"istio.io/waypoint-for": "workload"})
    pod = d.pod("cart-1", "10.0.0.4", labels={"app": "cart", **USE})
    mesh, problems = l7.world(narrow, RUNNING, pod, bound("get", gateway="waypoint"))
    assert told(problems) == []
    assert guards(mesh) == ("shop/plait_guard_waypoint",)
    assert [enters(mesh, who, port) for who in (WAYPOINT, CLIENT) for port in (1, 8080)] == [True, True, False, False]


# Around it ---

ALIAS = d.service("alias", "10.9.0.7", labels=USE, spec={"selector": {"app": "cart"}})
HEADLESS = d.service("peers", "None", labels=USE, spec={"selector": {"app": "cart"}})


@pytest.mark.parametrize("other", [ALIAS, HEADLESS], ids=["another name", "headless"])
def test_another_service_of_the_same_pods_is_refused_at_the_waypoint(other: d.Document) -> None:
    mesh, problems = l7.world(*WORLD, other, bound("get", "cart"))
    name = other["metadata"]["name"]
    served = {each.name: each for each in l7.behind(mesh, "waypoint-1").services}
    own, around = (served[each].ports[0].virtual_hosts[0].routes[0].action for each in ("cart", name))
    assert isinstance(own, Forward) and isinstance(around, Forward)
    assert own.destinations[0].broken == ""
    assert "AuthorizationPolicy shop/get" in around.destinations[0].broken
    assert told(problems) == [("Service", name)]


def test_a_policy_that_names_both_services_lets_both_in() -> None:
    mesh, problems = l7.world(*WORLD, ALIAS, bound("get", "cart", "alias"))
    view = l7.behind(mesh, "waypoint-1")
    assert told(problems) == []
    for service in view.services:
        action = service.ports[0].virtual_hosts[0].routes[0].action
        assert isinstance(action, Forward) and not action.destinations[0].broken, service.name


def test_a_service_of_other_ports_of_the_same_pods_is_nobody_s_business() -> None:
    metrics = d.service("metrics", "10.9.0.8", port=90, target=9090, labels=USE, spec={"selector": {"app": "cart"}})
    mesh, problems = l7.world(*WORLD, metrics, bound("get", "cart"))
    assert told(problems) == []
    assert enters(mesh, CLIENT, port=9090)


def test_a_route_to_another_service_does_not_carry_past_its_policy() -> None:
    front = d.service("front", "10.9.0.5", labels=USE)
    astray = l7.routes("front", [{"route": [{"destination": {"host": "cart"}}]}])
    mesh, _ = l7.world(*WORLD, front, astray, bound("get", "cart"))
    service = next(s for s in l7.behind(mesh, "waypoint-1").services if s.name == "front")
    action = service.ports[0].virtual_hosts[0].routes[0].action
    assert isinstance(action, Forward) and "AuthorizationPolicy shop/get" in action.destinations[0].broken


def test_a_split_of_the_service_itself_over_services_of_its_pods_stays_whole() -> None:
    pods = tuple(d.pod(f"cart-{v}", f"10.0.1.{n}", labels={"app": "cart", "v": v}) for n, v in enumerate("ab", 1))
    parts = tuple(d.service(f"cart-{v}", f"10.9.1.{n}", spec={"selector": {"v": v}}) for n, v in enumerate("ab", 1))
    split = l7.routes("cart", [{"route": [{"destination": {"host": f"cart-{v}"}, "weight": 50} for v in "ab"]}])
    mesh, _ = l7.world(l7.waypoint(), RUNNING, CART, *pods, *parts, split, bound("get", "cart"))
    service = next(s for s in l7.behind(mesh, "waypoint-1").services if s.name == "cart")
    action = service.ports[0].virtual_hosts[0].routes[0].action
    assert isinstance(action, Forward)
    assert [each.broken for each in action.destinations] == ["", ""]


def test_the_workload_s_own_address_does_not_lead_past_a_service_s_policy_through_the_same_waypoint() -> None:
    both = l7.waypoint("waypoint", "shop", labels={"istio.io/waypoint-for": "all"})
    pod = d.pod("cart-1", "10.0.0.4", labels={"app": "cart", **USE})
    mesh, _ = l7.world(both, RUNNING, CART, pod, bound("get", "cart"))
    view = l7.behind(mesh, "waypoint-1")
    assert view.workloads[0].refused == (8080,)
    assert '"name": "refused"' in str(waypoint.documents(view)).replace("'", '"')
    mesh, _ = l7.world(both, RUNNING, CART, pod, bound("get", gateway="waypoint"))
    assert l7.behind(mesh, "waypoint-1").workloads[0].refused == ()


def test_a_pod_of_two_waypoints_with_policies_of_their_own_is_closed_and_both_say_so() -> None:
    second = l7.waypoint("second")
    other = d.service(
        "other", "10.9.0.6", labels={"istio.io/use-waypoint": "second"}, spec={"selector": {"app": "cart"}}
    )
    mesh, problems = l7.world(*WORLD, second, other, bound("get", "cart"), bound("more", "other"))
    assert guards(mesh) == ("shop/plait_guard_NOBODY_8080",)
    assert told(problems) == [("Service", "cart"), ("Service", "other")]


# Sidecars ---

SIDE = l7.sidecar_pod("cart-2", "10.0.0.5", labels={"app": "cart"}, account="cart")


def test_a_sidecar_behind_a_waypoint_refuses_what_did_not_pass_it() -> None:
    mesh, _ = l7.world(*WORLD, SIDE, bound("get", "cart"))
    view = l7.seen_by(mesh, "cart-2")
    assert [p.name for p in view.enforced.policies] == ["plait_guard_waypoint_8080"]
    text = str(sidecar.documents(view)["listeners"])
    assert "plait_guard_waypoint_8080" in text and WAYPOINT in text


def test_a_sidecar_without_waypoint_enforces_itself_and_needs_no_guard() -> None:
    free = d.service("cart", "10.9.0.1")
    mesh, problems = l7.world(free, SIDE, bound("get", "cart"))
    assert [p.name for p in l7.seen_by(mesh, "cart-2").enforced.policies] == ["get"]
    assert (guards(mesh, "cart-2"), told(problems)) == ((), [])


def test_half_migrated_pods_of_a_service_without_waypoint_enforce_or_refuse() -> None:
    free = d.service("cart", "10.9.0.1")
    mesh, problems = l7.world(free, SIDE, POD, bound("get", "cart"))
    assert [p.name for p in l7.seen_by(mesh, "cart-2").enforced.policies] == ["get"]
    assert not enters(mesh, CLIENT)
    assert told(problems) == [("AuthorizationPolicy", "get")]


# As it is said ---


def test_any_ztunnel_is_told_the_guard_and_decides_alike() -> None:
    mesh, _ = l7.world(*WORLD, bound("get", "cart"))
    bundle, heard = encode(mesh).bundle, Store(mesh.settings)
    for url in (wire.AUTHORIZATION_TYPE, wire.ADDRESS_TYPE):
        assert heard.apply(url, bundle.of(url).values(), ()) == ()
    assert [enters(heard.mesh, who) for who in (WAYPOINT, CLIENT, "")] == [True, False, False]


@pytest.mark.envoy
def test_envoy_accepts_a_sidecar_with_a_guard_and_a_waypoint_that_refuses(tmp_path: Path) -> None:
    both = l7.waypoint("waypoint", "shop", labels={"istio.io/waypoint-for": "all"})
    pod = d.pod("cart-1", "10.0.0.4", labels={"app": "cart", **USE})
    mesh, _ = l7.world(both, RUNNING, CART, pod, SIDE, ALIAS, bound("get", "cart"))
    validate(composed(waypoint.documents(l7.behind(mesh, "waypoint-1"))), tmp_path)
    validate(composed(sidecar.documents(l7.seen_by(mesh, "cart-2"))), tmp_path)
