"""While a waypoint is optional a service is right by either way: through it, and straight to a sidecar that judges."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit.worlds import behind, gateway_pod, seen_by, sidecar_pod, waypoint, world
from plait.diagnose import naming
from plait.diagnose.explain import explain
from plait.diagnose.requests import Request
from plait.model.mesh import Mesh

DENY = {"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/x"]}}]}]}
ALLOW = {
    "action": "ALLOW",
    "rules": [{"from": [{"source": {"principals": ["*/ns/shop/sa/client"]}}], "to": [{"operation": {"paths": ["/"]}}]}],
}


def policy(**spec: Any) -> d.Document:
    target = {"targetRefs": [{"group": "", "kind": "Service", "name": "cart"}]}
    return d.document("security.istio.io/v1", "AuthorizationPolicy", "paths", spec={**target, **spec})


def shop(spec: dict[str, Any], *, bound: bool, optional: bool = True, running: bool = True) -> Mesh:
    meta: dict[str, Any] = {"labels": {"istio.io/use-waypoint": "waypoint"} if bound else {}}
    meta["annotations"] = {"plait.dev/optional-waypoint": "shop/waypoint"} if optional else {}
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    cart = d.document(
        "v1", "Service", "cart", spec={"clusterIP": "10.96.0.5", "selector": {"app": "cart"}, "ports": ports}
    )
    cart["metadata"].update(meta)
    pods = (
        sidecar_pod("cart-1", "10.0.0.1", labels={"app": "cart"}),
        d.pod("client-1", "10.0.0.2", account="client"),
        *([waypoint(), gateway_pod("waypoint-1", "10.0.0.3", "waypoint", account="waypoint")] if running else []),
    )
    return world(cart, policy(**spec), *pods)[0]


def allowed(mesh: Mesh, path: str) -> bool | None:
    request = Request("GET", path, "cart.shop.svc.cluster.local")
    (found,) = explain(mesh, naming.pod(mesh, "shop/client-1"), naming.called(mesh, "shop/cart"), request)
    assert found.verdict is not None
    return found.verdict.allowed


@pytest.mark.parametrize("spec", [DENY, ALLOW], ids=["deny", "allow"])
@pytest.mark.parametrize("bound", [False, True], ids=["straight", "through the waypoint"])
def test_both_ways_give_the_same_verdict(spec: dict[str, Any], bound: bool) -> None:
    mesh = shop(spec, bound=bound)
    assert (allowed(mesh, "/"), allowed(mesh, "/x")) == (True, False)


@pytest.mark.parametrize("bound", [False, True])
def test_the_sidecar_judges_all_but_the_waypoint_and_the_waypoint_serves(bound: bool) -> None:
    mesh = shop(DENY, bound=bound)
    (judged,) = seen_by(mesh, "cart-1").enforced.policies
    assert judged.key == "shop/paths"
    (source,) = judged.rules[0].sources
    assert "cluster.local/ns/shop/sa/waypoint" in [text.value for text in source.not_principals]
    assert [each.name for each in behind(mesh, "waypoint-1").services] == ["cart"]


def test_a_waypoint_whose_gateway_is_gone_is_believed_until_the_annotation_goes_too() -> None:
    """Its pods still end what they have begun."""
    gone = shop(ALLOW, bound=False, running=False)
    (judged,) = seen_by(gone, "cart-1").enforced.policies
    who = [text.value for rule in judged.rules for source in rule.sources for text in source.principals]
    assert who[-1] == "cluster.local/ns/shop/sa/waypoint"


def test_without_the_annotation_only_the_waypoint_may_come() -> None:
    (guard,) = seen_by(shop(DENY, bound=True, optional=False), "cart-1").enforced.policies
    assert guard.name.startswith("plait_guard_")
    assert behind(shop(DENY, bound=False, optional=False), "waypoint-1").services == ()
