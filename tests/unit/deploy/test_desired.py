"""What is made for a Gateway: the documents themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kit import documents as d
from kit import gateways as g
from plait.app.parameters import merge
from plait.deploy.desired import desired
from plait.deploy.overlays import stacked
from plait.deploy.plans import Plan
from plait.resources.decode import decode
from plait.resources.gateway_api.gateway import ListenerSet
from plait.resources.proxy_container import SCRAPED

Document = dict[str, Any]
OWNER = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "name": "waypoint",
    "uid": "uid-of-waypoint",
    "controller": True,
}


def made(document: Document, runs: Any = "waypoint", overlays: Mapping[str, Document] | None = None) -> dict[str, Any]:
    found = desired(Plan(g.typed(document), runs), "/proxies", stacked(overlays or {}), merge)
    return {each["kind"]: each for each in found}


def test_a_waypoint_is_an_account_a_service_inside_the_cluster_and_a_deployment_all_owned_by_it() -> None:
    found = made(g.waypoint())
    assert list(found) == ["ServiceAccount", "Service", "Deployment"]
    for each in found.values():
        assert (each["metadata"]["name"], each["metadata"]["namespace"]) == ("waypoint", "shop")
        assert each["metadata"]["ownerReferences"] == [OWNER]
    service = found["Service"]["spec"]
    assert service["type"] == "ClusterIP"
    assert service["selector"] == {"gateway.networking.k8s.io/gateway-name": "waypoint"}
    assert [(p["name"], p["port"], p["appProtocol"]) for p in service["ports"]] == [
        ("status-port", 15021, "tcp"),
        ("mesh", 15008, "hbone"),
    ]


def test_the_pod_is_no_client_of_the_mesh_and_says_who_it_is() -> None:
    template = made(g.waypoint())["Deployment"]["spec"]["template"]
    assert template["metadata"]["labels"] == {
        "sidecar.istio.io/inject": "false",
        "istio.io/dataplane-mode": "none",
        "service.istio.io/canonical-name": "waypoint",
        "service.istio.io/canonical-revision": "latest",
        "gateway.networking.k8s.io/gateway-name": "waypoint",
        "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
        "gateway.istio.io/managed": "istio.io-mesh-controller",
    }
    assert template["spec"]["serviceAccountName"] == "waypoint"
    assert template["spec"]["volumes"][0]["hostPath"]["path"] == "/proxies"
    (container,) = template["spec"]["containers"]
    assert (container["name"], container["image"]) == ("istio-proxy", "plait/proxyv2")
    assert template["spec"]["automountServiceAccountToken"] is False


def test_replicas_are_left_to_whoever_scales_unless_the_parameters_say_them() -> None:
    assert "replicas" not in made(g.waypoint())["Deployment"]["spec"]
    overlay = {"deployment": {"spec": {"replicas": 3}}}
    assert made(g.waypoint(), overlays=overlay)["Deployment"]["spec"]["replicas"] == 3


def test_a_gateway_has_its_listeners_ports_at_a_load_balancer_and_may_bind_low_ones() -> None:
    https = {"name": "http.secure", "port": 443, "protocol": "HTTPS"}
    again = {"name": "other", "port": 80, "protocol": "HTTP", "hostname": "b.example"}
    found = made(g.gateway("edge", "istio", g.HTTP, https, again), "gateway")
    service = found["Service"]
    assert service["metadata"]["name"] == "edge-istio"
    assert service["spec"]["type"] == "LoadBalancer"
    assert [(p["name"], p["port"]) for p in service["spec"]["ports"]] == [
        ("status-port", 15021),
        ("http", 80),
        ("https-443", 443),
    ]
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["capabilities"]["add"] == ["NET_BIND_SERVICE"]


def test_ports_of_allowed_listener_sets_come_after_the_gateways_own() -> None:
    text = d.document("gateway.networking.k8s.io/v1", "ListenerSet", "more", "shop")
    same = {"name": "http", "port": 8080, "protocol": "HTTP"}
    more, _ = decode({**text, "spec": {"parentRef": {"name": "edge"}, "listeners": [same]}})
    assert isinstance(more, ListenerSet)
    plan = Plan(g.typed(g.gateway("edge", "istio", g.HTTP)), "gateway", (more,))
    _, service, _ = desired(plan, "/proxies", {}, merge)
    assert [(p["name"], p["port"]) for p in service["spec"]["ports"][1:]] == [("http", 80), ("http-8080", 8080)]


def test_the_type_of_the_service_and_its_address_can_be_asked_for() -> None:
    inside = g.gateway("edge", "istio", g.HTTP, annotations={"networking.istio.io/service-type": "NodePort"})
    assert made(inside, "gateway")["Service"]["spec"]["type"] == "NodePort"
    address = {"addresses": [{"type": "IPAddress", "value": "10.64.192.7"}]}
    static = made(g.gateway("edge", "istio", g.HTTP, spec=address), "gateway")["Service"]["spec"]
    assert static["loadBalancerIP"] == "10.64.192.7"


def test_somebody_elses_deployment_is_left_alone() -> None:
    address = {"addresses": [{"type": "Hostname", "value": "door"}]}
    assert made(g.gateway("edge", "istio", g.HTTP, spec=address), "gateway") == {}


def test_pods_say_where_their_numbers_are_unless_told_otherwise() -> None:
    template = made(g.waypoint())["Deployment"]["spec"]["template"]["metadata"]
    assert template["annotations"] == SCRAPED
    infrastructure = {"annotations": {"prometheus.io/scrape": "false"}}
    told = made(g.waypoint(spec={"infrastructure": infrastructure}))["Deployment"]["spec"]["template"]["metadata"]
    assert told["annotations"] == {**SCRAPED, "prometheus.io/scrape": "false"}


def test_infrastructure_is_passed_on_to_everything_but_the_words_that_are_for_us() -> None:
    infrastructure = {"labels": {"cost": "c"}, "annotations": {"note": "n", "sidecar.istio.io/proxyCPU": "100m"}}
    own = {"gateway.istio.io/service-account": "porter", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    infrastructure["annotations"]["plait.dev/scale-to-zero"] = "60s"
    found = made(g.waypoint(annotations=own, spec={"infrastructure": infrastructure}))
    del infrastructure["annotations"]["plait.dev/scale-to-zero"]
    for each in (*found.values(), found["Deployment"]["spec"]["template"]):
        assert each["metadata"]["labels"]["cost"] == "c"
        assert infrastructure["annotations"].items() <= each["metadata"]["annotations"].items()
        assert not {*own, "plait.dev/scale-to-zero"} & each["metadata"]["annotations"].keys()
    assert found["ServiceAccount"]["metadata"]["name"] == "porter"
    pod = found["Deployment"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "porter"
    assert pod["containers"][0]["resources"] == {"requests": {"cpu": "100m"}}
    bare = made(g.waypoint(annotations=own))
    assert all("annotations" not in each["metadata"] for each in bare.values())


def test_an_overlay_merges_by_name_and_cannot_give_the_object_to_somebody_else() -> None:
    container = {"name": "istio-proxy", "resources": {"limits": {"memory": "64Mi"}}}
    template = {"metadata": {"labels": {"extra": "1"}}, "spec": {"containers": [container], "nodeSelector": {"a": "b"}}}
    stolen = {"name": "mine", "ownerReferences": [], "labels": {"gateway.istio.io/managed": None, "extra": "2"}}
    overlay = {"deployment": {"metadata": stolen, "spec": {"template": template}}}
    found = made(g.waypoint(), overlays=overlay)["Deployment"]
    assert (found["metadata"]["name"], found["metadata"]["ownerReferences"]) == ("waypoint", [OWNER])
    assert found["metadata"]["labels"]["gateway.istio.io/managed"] == "istio.io-mesh-controller"
    assert found["metadata"]["labels"]["extra"] == "2"
    (merged,) = found["spec"]["template"]["spec"]["containers"]
    assert (merged["image"], merged["resources"]) == ("plait/proxyv2", {"limits": {"memory": "64Mi"}})
    assert found["spec"]["template"]["spec"]["nodeSelector"] == {"a": "b"}
    assert found["spec"]["template"]["metadata"]["labels"]["extra"] == "1"


def test_an_overlay_does_not_change_what_pods_are_found_and_known_by() -> None:
    labels = {"gateway.networking.k8s.io/gateway-name": "other", "gateway.istio.io/managed": None}
    template = {"metadata": {"labels": labels}, "spec": {"serviceAccountName": "admin"}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    usual, found = made(g.waypoint()), made(g.waypoint(), overlays={"deployment": {"spec": spec}})
    assert found["Deployment"] == usual["Deployment"]


def test_an_autoscaler_is_made_when_the_parameters_have_one() -> None:
    overlay = {"horizontalPodAutoscaler": {"spec": {"minReplicas": 2, "maxReplicas": 5}}}
    found = made(g.waypoint(), overlays=overlay)["HorizontalPodAutoscaler"]
    assert found["apiVersion"] == "autoscaling/v2"
    assert found["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "waypoint"},
        "minReplicas": 2,
        "maxReplicas": 5,
    }


def test_a_disruption_budget_is_about_the_gateways_own_pods() -> None:
    found = made(g.waypoint(), overlays={"podDisruptionBudget": {"spec": {"minAvailable": 1}}})["PodDisruptionBudget"]
    assert found["apiVersion"] == "policy/v1"
    selector = {"matchLabels": {"gateway.networking.k8s.io/gateway-name": "waypoint"}}
    assert found["spec"] == {"selector": selector, "minAvailable": 1}


def test_of_two_layers_of_parameters_the_second_has_the_last_word() -> None:
    of_class = {"service": {"spec": {"type": "NodePort", "externalTrafficPolicy": "Local"}}}
    own = {"service": {"spec": {"type": "ClusterIP"}}}
    found = desired(Plan(g.typed(g.waypoint()), "waypoint"), "/proxies", stacked(of_class, own), merge)
    (service,) = [each for each in found if each["kind"] == "Service"]
    assert (service["spec"]["type"], service["spec"]["externalTrafficPolicy"]) == ("ClusterIP", "Local")


def test_a_gateway_takes_either_address_family_and_shows_its_readiness_unless_told_not_to() -> None:
    service = made(g.gateway("edge", "istio", g.HTTP), "gateway")["Service"]["spec"]
    assert service["ipFamilyPolicy"] == "PreferDualStack"
    assert [each["port"] for each in service["ports"]] == [15021, 80]
    hidden = {"networking.istio.io/service-expose-status-port": "false"}
    service = made(g.gateway("edge", "istio", g.HTTP, annotations=hidden), "gateway")["Service"]["spec"]
    assert [each["port"] for each in service["ports"]] == [80]
    infrastructure = {"infrastructure": {"annotations": hidden}}
    service = made(g.gateway("edge", "istio", g.HTTP, spec=infrastructure), "gateway")["Service"]["spec"]
    assert [each["port"] for each in service["ports"]] == [80]
