"""Fields that once were dropped in silence: each is told to the proxy, or the object says that it has no effect."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit import worlds
from plait.envoy.roles import sidecar
from plait.model.mesh import Mesh

WEB = worlds.sidecar_pod("web-1", "10.0.0.1", labels={"app": "web"})
SERVICE = d.service("web", "10.9.0.1")


def application(mesh: Mesh) -> dict[str, Any]:
    found = sidecar.documents(worlds.seen_by(mesh, "web-1"))
    return next(each for each in found["clusters"] if each["name"] == "inbound|8080||")


def test_the_inbound_pool_of_a_sidecar_holds_toward_the_application() -> None:
    pool = {
        "tcp": {"tcpKeepalive": {"time": "7s"}},
        "http": {"idleTimeout": "9s", "maxRequestsPerConnection": 3},
    }
    mesh, problems = worlds.world(WEB, SERVICE, worlds.istio("Sidecar", "web", inboundConnectionPool=pool))
    cluster = application(mesh)
    (options,) = cluster["typed_extension_protocol_options"].values()
    assert options["common_http_protocol_options"] == {"idle_timeout": "9s", "max_requests_per_connection": 3}
    assert cluster["upstream_connection_options"] == {"tcp_keepalive": {"keepalive_time": 7}}
    assert not problems


def test_what_a_sidecar_cannot_do_inbound_is_said() -> None:
    written = worlds.istio(
        "Sidecar",
        "web",
        ingress=[
            {"port": {"number": 8080, "protocol": "HTTP", "name": "http", "targetPort": 9}, "captureMode": "NONE"}
        ],
        inboundConnectionPool={"http": {"useClientProtocol": True, "h2UpgradePolicy": "UPGRADE"}},
    )
    _, problems = worlds.world(WEB, SERVICE, written)
    assert {each.path for each in problems} == {
        "spec.ingress[0].captureMode",
        "spec.ingress[0].port.targetPort",
        "spec.inboundConnectionPool.http.useClientProtocol",
        "spec.inboundConnectionPool.http.h2UpgradePolicy",
    }


def test_parameters_of_a_whole_class_are_said_to_have_no_effect() -> None:
    spec = {
        "controllerName": "istio.io/gateway-controller",
        "parametersRef": {"group": "", "kind": "ConfigMap", "name": "a"},
    }
    _, problems = worlds.world(d.document("gateway.networking.k8s.io/v1", "GatewayClass", "istio", "", spec=spec))
    assert [(each.kind, each.path) for each in problems] == [("GatewayClass", "spec.parametersRef")]
