"""What would stop a migration in the middle is said before it begins, with the way out."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.worlds import gateway_pod, sidecar_pod, waypoint
from plait.app.migration.outlook import Outlook, outlook
from plait.app.migration.plan import Scope
from plait.app.migration.steps import steps
from plait.app.offline import World
from plait.model.mesh import Settings
from plait.model.modes import Mode

USED = {"istio.io/use-waypoint": "waypoint"}
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


def looked(to: Mode, *documents: d.Document, workload: str = "", waypoint: str = "waypoint") -> Outlook:
    mesh = World(documents, Settings()).described()
    return outlook(list(documents), mesh, Scope("shop", workload), to, waypoint)


def cart(**labels: str) -> d.Document:
    return d.service("cart", "10.9.0.1", labels=labels)


def pod(labels: dict[str, str] | None = None, port: int = 8080, name: str = "cart-1") -> d.Document:
    made: dict[str, Any] = sidecar_pod(name, f"10.0.0.{name[-1]}", labels={"app": "cart", **(labels or {})})
    made["metadata"]["generateName"] = "cart-"
    made["spec"]["containers"] = [{"name": "app", "ports": [{"containerPort": port}]}]
    return made


def test_nothing_stands_in_the_way_of_an_ordinary_app() -> None:
    assert looked("ambient", cart(), pod(), DENIED).obstacles == ()
    assert looked("ambient", cart(**USED), pod(), waypoint(), DENIED).obstacles == ()


def test_a_waypoint_that_a_label_names_and_nobody_made_is_not_made_in_silence() -> None:
    seen = looked("ambient", cart(**USED), pod(), DENIED)
    (why,) = seen.obstacles
    assert "waypoint shop/waypoint, which Service cart is bound to, does not exist" in why
    assert "plait waypoint apply waypoint -n shop" in why
    assert not seen.plan.creates_waypoint and "waypoint" not in [step.verb for step in steps(seen.plan)]
    assert looked("sidecar", cart(**USED), d.pod("cart-1", "10.0.0.1", labels={"app": "cart"})).obstacles == ()


def test_a_gateway_that_is_no_waypoint_or_serves_others_is_none() -> None:
    spec = {"gatewayClassName": "istio", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}
    edge = d.document("gateway.networking.k8s.io/v1", "Gateway", "waypoint", "shop", spec=spec)
    (why,) = looked("ambient", cart(**USED), pod(), edge, DENIED).obstacles
    assert "Gateway shop/waypoint, which Service cart is bound to, is no waypoint" in why
    others = waypoint()
    others["metadata"]["labels"] = {"istio.io/waypoint-for": "workload"}
    proxy = gateway_pod("waypoint-0", "10.0.0.7", "waypoint")
    (why,) = looked("ambient", cart(), pod(), others, proxy, DENIED).obstacles
    assert "serves workload: label it istio.io/waypoint-for=service" in why


def test_an_application_on_a_port_of_the_proxy_is_refused_once_for_all_its_pods() -> None:
    (why,) = looked("ambient", cart(), pod(port=15001), pod(port=15001, name="cart-2")).obstacles
    assert why.startswith("container app of pod cart listens on 15001") and "targetPort" in why
    here = d.pod("cart-1", "10.0.0.1", labels={"app": "cart"})
    here["spec"]["containers"] = [{"name": "app", "ports": [{"containerPort": 15021}]}]
    assert len(looked("sidecar", here, cart()).obstacles) == 1
    assert looked("none", cart(), pod(port=15001)).obstacles == ()


def test_a_pod_whose_own_label_wins_is_told_with_both_ways_out() -> None:
    own = {"sidecar.istio.io/inject": "true"}
    (why,) = looked("ambient", cart(), pod(own)).obstacles
    assert "pod cart says sidecar.istio.io/inject=true itself" in why and "drop it from the template" in why
    assert looked("ambient", cart(), pod(own), workload="cart-1").obstacles == ()
    asks = d.pod("cart-1", "10.0.0.1", labels={"app": "cart", "istio.io/dataplane-mode": "ambient"})
    assert len(looked("none", cart(), asks).obstacles) == 1
