"""Stories of what stands behind a destination: which endpoints are near and count, and how they are spoken to."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds as l7
from plait.envoy.roles import sidecar
from plait.model.views.sidecar import SidecarView

HOST = "db.shop.svc.cluster.local"
NODES = tuple(
    {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone},
        },
    }
    for name, region, zone in (("n1", "r1", "z1"), ("n2", "r1", "z2"), ("n3", "r2", "z1"))
)
WEB = l7.sidecar_pod("web", "10.0.0.1", labels={"app": "web"}, node="n1")
PODS = tuple(l7.sidecar_pod(f"db-{n}", f"10.0.1.{n}", labels={"app": "db"}, node=f"n{n}") for n in (1, 2, 3))
OUTLIERS = {"consecutive5xxErrors": 5}


def view(*documents: d.Document) -> SidecarView:
    """What `web` sees; a later document of a name takes the place of the one before."""
    every = {(each["kind"], each["metadata"]["name"]): each for each in (WEB, *NODES, *PODS, *documents)}
    mesh, _ = l7.world(*every.values())
    return l7.seen_by(mesh, "web")


def ranks(*documents: d.Document) -> dict[str, int]:
    """Endpoints of the service by the end of their address, and how far away they count."""
    found = next(each for each in view(*documents).upstreams if each.hostname == HOST)
    return {end.address.rpartition(".")[2]: end.priority for end in found.endpoints}


def cluster(*documents: d.Document, name: str = f"outbound|80||{HOST}") -> dict[str, Any]:
    found = sidecar.documents(view(*documents))["clusters"]
    return next(each for each in found if each["name"] == name)


def rule(**policy: Any) -> d.Document:
    return l7.rules("db", trafficPolicy=policy)


def service(**spec: Any) -> d.Document:
    return d.service("db", "10.9.0.2", spec=spec)


# Near and far ---


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({}, {"1": 0, "2": 0, "3": 0}),
        ({"trafficDistribution": "PreferClose"}, {"1": 0, "2": 1, "3": 2}),
        ({"internalTrafficPolicy": "Local"}, {"1": 0}),
    ],
)
def test_a_service_s_own_word_on_what_is_near_holds_for_sidecars_as_for_nodes(
    spec: dict[str, str], found: dict[str, int]
) -> None:
    assert ranks(service(**spec)) == found


def test_a_rule_s_word_on_what_is_near_goes_before_the_service_s() -> None:
    near = rule(outlierDetection=OUTLIERS, loadBalancer={"localityLbSetting": {"enabled": False}})
    assert ranks(service(trafficDistribution="PreferClose"), near) == {"1": 0, "2": 0, "3": 0}


@pytest.mark.parametrize(
    ("outliers", "found"), [(OUTLIERS, {"1": 0, "2": 1, "3": 1}), (None, {"1": 0, "2": 0, "3": 0})]
)
def test_failover_needs_outlier_detection(outliers: dict[str, int] | None, found: dict[str, int]) -> None:
    setting = {"localityLbSetting": {"failoverPriority": ["topology.kubernetes.io/zone"]}}
    labels = [{"topology.kubernetes.io/zone": "z1"}, {"topology.kubernetes.io/zone": "z2"}]
    web = l7.sidecar_pod("web", "10.0.0.1", labels={"app": "web", **labels[0]})
    pods = [l7.sidecar_pod(f"db-{n}", f"10.0.1.{n}", labels={"app": "db", **labels[n != 1]}) for n in (1, 2, 3)]
    policy = {"loadBalancer": setting, **({"outlierDetection": outliers} if outliers else {})}
    assert ranks(web, *pods, service(), rule(**policy)) == found


def test_pods_that_are_not_ready_count_only_where_the_service_publishes_them() -> None:
    sick = l7.sidecar_pod("db-2", "10.0.1.2", labels={"app": "db"}, ready=False)

    def healthy(*documents: d.Document) -> dict[str, bool]:
        found = next(each for each in view(sick, *documents).upstreams if each.hostname == HOST)
        return {end.address: end.healthy for end in found.endpoints if end.address == "10.0.1.2"}

    assert healthy(service()) == {"10.0.1.2": False}
    assert healthy(service(publishNotReadyAddresses=True)) == {"10.0.1.2": True}
    panic = rule(outlierDetection={**OUTLIERS, "minHealthPercent": 50})
    assert healthy(service(), panic) == {}, "a panic would send to it"


# Ways to speak ---


@pytest.mark.parametrize(
    ("name", "kind"),
    [("db.example", "DNS"), ("spiffe://x/y", "URI"), ("10.1.2.3", "IP_ADDRESS"), ("db@shop.example", "EMAIL")],
)
def test_a_name_a_server_must_show_is_compared_as_what_it_is(name: str, kind: str) -> None:
    found = cluster(service(), rule(tls={"mode": "SIMPLE", "subjectAltNames": [name]}))
    sockets = [each["transport_socket"] for each in found["transport_socket_matches"] if each["name"] == "default"]
    [context] = [each["typed_config"]["common_tls_context"]["validation_context"] for each in sockets]
    assert context["match_typed_subject_alt_names"] == [{"san_type": kind, "matcher": {"exact": name}}]


@pytest.mark.parametrize(("word", "field"), [("http", "explicit_http_config"), ("x", "use_downstream_protocol_config")])
def test_the_mesh_upgrades_to_http2_only_what_is_http_for_certain(word: str, field: str) -> None:
    config = d.document("v1", "ConfigMap", "istio", "istio-system", data={"mesh": "h2UpgradePolicy: UPGRADE"})
    ports = [{"name": word, "port": 80, "targetPort": 80, "protocol": "TCP"}]
    [options] = cluster(config, service(ports=ports))["typed_extension_protocol_options"].values()
    assert field in options


@pytest.mark.parametrize("word", ["http", "http2", "grpc", "x"])
@pytest.mark.parametrize(
    "http", [{}, {"h2UpgradePolicy": "UPGRADE"}, {"h2UpgradePolicy": "DO_NOT_UPGRADE"}, {"useClientProtocol": True}]
)
def test_what_the_servers_sidecar_agrees_to_is_what_is_spoken_to_it(word: str, http: dict[str, Any]) -> None:
    """It reads a connection as the protocol that both agreed on; only where they agree on none does it look."""
    ports = [{"name": word, "port": 80, "targetPort": 80, "protocol": "TCP"}]
    policy = {"connectionPool": {"http": http}} if http else {"loadBalancer": {"simple": "RANDOM"}}
    found = cluster(service(ports=ports), rule(**policy))
    [options] = found["typed_extension_protocol_options"].values()
    contexts = [each["transport_socket"] for each in found["transport_socket_matches"] if each["name"] != "hbone"]
    offered = contexts[0]["typed_config"]["common_tls_context"]["alpn_protocols"]
    agreed = next((each for each in ("h2", "http/1.1") if each in offered), "")
    if "use_downstream_protocol_config" in options:
        assert agreed == ""
    else:
        [spoken] = options["explicit_http_config"]
        assert agreed in ("", "h2" if spoken == "http2_protocol_options" else "http/1.1")
    assert offered[0].startswith("istio-"), "HTTP is told from bytes by what is offered"


def test_who_is_dialed_past_the_balancing_is_spoken_to_as_all_endpoints_are() -> None:
    found = cluster(service(), rule(loadBalancer={"simple": "PASSTHROUGH"}))
    assert (found["type"], "transport_socket_matches" in found) == ("ORIGINAL_DST", False)
    checks = found["transport_socket"]["typed_config"]["common_tls_context"]["combined_validation_context"]
    [name] = checks["default_validation_context"]["match_typed_subject_alt_names"]
    assert name["matcher"] == {"exact": "spiffe://cluster.local/ns/shop/sa/default"}


def test_zero_percent_of_ejections_is_how_the_api_says_nothing() -> None:
    found = cluster(service(), rule(outlierDetection={**OUTLIERS, "maxEjectionPercent": 0}))
    assert "max_ejection_percent" not in found["outlier_detection"]


# The application ---


@pytest.mark.parametrize(
    ("endpoint", "kind", "port"),
    [
        ("127.0.0.1:8080", "STATIC", None),
        ("0.0.0.0:8080", "ORIGINAL_DST", 8080),
        ("[::]:8080", "ORIGINAL_DST", 8080),
    ],
)
def test_an_ingress_listener_leads_to_the_pod_s_own_address_at_the_port_it_names(
    endpoint: str, kind: str, port: int | None
) -> None:
    ingress = [{"port": {"number": 9080, "name": "http", "protocol": "HTTP"}, "defaultEndpoint": endpoint}]
    found = cluster(l7.istio("Sidecar", "default", ingress=ingress), name="inbound|9080||")
    assert (found["type"], found.get("original_dst_lb_config", {}).get("upstream_port_override")) == (kind, port)
