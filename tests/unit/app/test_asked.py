"""Which proxy a name means when nothing of it runs, and what is said of refusals."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds
from plait.app.asked import UnknownProxy
from plait.app.offline import World
from plait.model.mesh import Settings

CART = d.service("cart", "10.9.0.1")
CART_2 = d.service("free", "10.9.0.2")
WAYPOINT = worlds.waypoint()
EDGE = worlds.gateway("edge", "shop")


def deployment(name: str, labels: dict[str, str], **spec: Any) -> d.Document:
    template = {"metadata": {"labels": labels}, "spec": {"serviceAccountName": name, "containers": []}}
    written = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return d.document("apps/v1", "Deployment", name, spec=written)


def world(*documents: d.Document) -> World:
    return World(documents, Settings())


def said(found: dict[str, Any], severity: str = "info") -> list[str]:
    return [f"{p['kind']} {p['name']}: {p['message']}" for p in found["problems"] if p["severity"] == severity]


def test_a_gateway_without_a_pod_has_the_account_its_controller_would_give_it() -> None:
    (text,) = said(world(EDGE).l7("gateway", "shop", "edge"))
    assert "service account edge-istio " in text
    (text,) = said(world(WAYPOINT).l7("waypoint", "shop", "waypoint"))
    assert "service account waypoint " in text
    own = worlds.gateway("edge", "shop")
    own["metadata"]["annotations"] = {"gateway.istio.io/service-account": "mine"}
    (text,) = said(world(own).l7("gateway", "shop", "edge"))
    assert "service account mine " in text


def test_a_gateway_with_a_pod_is_that_pod() -> None:
    pod = worlds.gateway_pod("edge-1", "10.4.0.2", "edge")
    assert said(world(EDGE, pod).l7("gateway", "shop", "edge")) == []
    assert world(EDGE, pod).l7("gateway", "shop", "edge") == world(EDGE, pod).l7("gateway", "shop", "edge-1")


def test_an_istio_gateway_is_the_pod_its_selector_takes_or_one_made_for_it() -> None:
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    edge = worlds.istio("Gateway", "edge", selector={"istio": "ingress"}, servers=[server])
    alone = world(edge).l7("gateway", "shop", "edge")
    assert len(said(alone)) == 1 and alone["listeners"]
    pods = world(edge, deployment("ingress", {"istio": "ingress"})).l7("gateway", "shop", "edge")
    assert [text.partition(":")[0] for text in said(pods)] == ["Deployment ingress"]
    names = [each["name"] for each in alone["listeners"]]
    assert names == ["0.0.0.0_80", "connect_originate"] == [each["name"] for each in pods["listeners"]]


def test_pods_that_are_described_are_never_replaced() -> None:
    pod = d.pod("cart-1", "10.0.0.1", labels={"app": "cart"}, captured=False)
    found = world(CART, deployment("cart", {"app": "cart"}), pod, deployment("web", {"app": "web"}))
    told = found.l7("sidecar", "shop", "cart")
    assert [text.partition(":")[0] for text in said(told)] == ["Deployment web"]
    assert "10.0.0.2" in said(told)[0], "10.0.0.1 is taken"


def test_a_broken_deployment_is_not_asked_for_and_breaks_nothing() -> None:
    broken = d.document("apps/v1", "Deployment", "bad", spec={"template": {"spec": {"containers": 3}}})
    empty = d.document("apps/v1", "Deployment", "empty", spec=7)
    found = world(CART, broken, empty, deployment("none", {"app": "x"}, replicas=0), deployment("web", {"app": "web"}))
    assert found.l7("sidecar", "shop", "web")["listeners"]
    for name in ("bad", "none", "nobody"):
        with pytest.raises(UnknownProxy, match="Deployment shop/web"):
            found.l7("sidecar", "shop", name)


def test_what_cannot_be_said_to_envoy_is_a_problem_of_its_object() -> None:
    server = {
        "port": {"number": 443, "name": "tls", "protocol": "TLS"},
        "hosts": ["*.local"],
        "tls": {"mode": "AUTO_PASSTHROUGH"},
    }
    edge = worlds.istio("Gateway", "edge", selector={"istio": "ingress"}, servers=[server])
    cart = d.service("cart", "10.9.0.1", labels={"istio.io/use-waypoint": "waypoint"})
    found = world(edge, WAYPOINT, cart).l7("gateway", "shop", "edge")
    refused = [p for p in found["problems"] if p["code"] == "PLT0011"]
    assert refused and refused[0]["severity"] == "warning" and "AUTO_PASSTHROUGH" in refused[0]["message"]


def test_workload_discovery_shows_the_waypoint_of_a_service() -> None:
    own = d.service("waypoint", "10.9.0.9", labels={"gateway.networking.k8s.io/gateway-name": "waypoint"})
    cart = d.service("cart", "10.9.0.1", labels={"istio.io/use-waypoint": "waypoint"})
    told = world(WAYPOINT, own, cart).wds()["addresses"]
    found = {each["service"]["name"]: each["service"].get("waypoint") for each in told}
    host = {"namespace": "shop", "hostname": "waypoint.shop.svc.cluster.local"}
    assert found == {"cart": {"hostname": host, "hbone_mtls_port": 15008}, "waypoint": None}


def test_a_policy_on_a_service_says_which_waypoint_it_is_bound_to() -> None:
    def policy(kind: str, name: str) -> d.Document:
        group = "gateway.networking.k8s.io" if kind == "Gateway" else ""
        return d.allow("get", [{}], spec={"targetRefs": [{"group": group, "kind": kind, "name": name}]})

    def condition(*documents: d.Document) -> tuple[str, str, str]:
        statuses = world(WAYPOINT, cart, CART_2, *documents).status()["statuses"]
        status = next(each for each in statuses if each["kind"] == "AuthorizationPolicy")["status"]
        found = status["conditions"][0]
        return found["type"], found["status"], found["message"]

    cart = d.service("cart", "10.9.0.1", labels={"istio.io/use-waypoint": "waypoint"})
    for kind, name in (("Service", "cart"), ("Gateway", "waypoint")):
        assert condition(policy(kind, name)) == ("WaypointAccepted", "True", "bound to shop/waypoint")
    for kind, name in (("Service", "free"), ("Service", "lost"), ("Gateway", "lost")):
        of_type, status, message = condition(policy(kind, name))
        assert (of_type, status) == ("WaypointAccepted", "False") and f"shop/{name}" in message
