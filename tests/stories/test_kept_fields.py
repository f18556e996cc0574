"""Fields that once were dropped in silence: each is told to the proxy, or the object says that it has no effect."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit import worlds
from plait.envoy.roles import gateway, sidecar
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
        ingress=[{"port": {"number": 8080, "protocol": "HTTP", "name": "http", "targetPort": 9}}],
        inboundConnectionPool={"http": {"useClientProtocol": True, "h2UpgradePolicy": "UPGRADE"}},
    )
    _, problems = worlds.world(WEB, SERVICE, written)
    assert {each.path for each in problems} == {
        "spec.ingress[0].port.targetPort",
        "spec.inboundConnectionPool.http.useClientProtocol",
        "spec.inboundConnectionPool.http.h2UpgradePolicy",
    }


def test_what_only_gateways_have_is_said_of_a_sidecar_and_holds_where_an_api_server_let_it_in() -> None:
    tls = {"mode": "MUTUAL", "credentialName": "cert", "subjectAltNames": ["client.example"]}
    ingress = [{"port": {"number": 8080, "protocol": "HTTPS", "name": "https"}, "tls": tls}]
    mesh, problems = worlds.world(WEB, SERVICE, worlds.istio("Sidecar", "web", ingress=ingress))
    assert {each.path: each.severity for each in problems} == {
        "spec.ingress[0].tls.credentialName": "error",
        "spec.ingress[0].tls.subjectAltNames": "error",
    }
    (scope,) = mesh.l7.sidecars.values()
    (listener,) = scope.ingress
    assert listener.tls is not None and listener.tls.subject_alt_names == ("client.example",)


def test_a_gateway_listens_at_the_number_of_its_port_and_says_so_of_a_target_port() -> None:
    server = {"port": {"number": 8080, "targetPort": 9, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    edge = d.pod("edge-1", "10.4.0.2", "ingress", labels={"istio": "edge"}, captured=False)
    written = worlds.istio("Gateway", "edge", selector={"istio": "edge"}, servers=[server])
    mesh, problems = worlds.world(WEB, SERVICE, edge, written)
    assert [each.path for each in problems] == ["spec.servers[0].port.targetPort"]
    (listener,) = mesh.l7.gateways["shop/edge"].listeners
    assert listener.port == 8080


def test_parameters_of_a_whole_class_are_said_to_have_no_effect() -> None:
    spec = {
        "controllerName": "istio.io/gateway-controller",
        "parametersRef": {"group": "", "kind": "ConfigMap", "name": "a"},
    }
    _, problems = worlds.world(d.document("gateway.networking.k8s.io/v1", "GatewayClass", "istio", "", spec=spec))
    assert [(each.kind, each.path) for each in problems] == [("GatewayClass", "spec.parametersRef")]


def test_a_connection_is_matched_by_the_address_it_comes_from() -> None:
    """A sidecar knows its own; a waypoint does not know its clients', and then the match does not hold."""

    def ways(subnet: str) -> list[str]:
        here = {"destination": {"host": "db"}}
        route = {"match": [{"sourceSubnet": subnet}], "route": [here]}
        elsewhere = {"route": [{"destination": {"host": "web"}}]}
        mesh, _ = worlds.world(
            WEB,
            d.service("web", "10.9.0.1", port=90, spec={"ports": [{"name": "tcp", "port": 90}]}),
            d.service("db", "10.9.0.3", port=90, spec={"ports": [{"name": "tcp", "port": 90}]}),
            worlds.istio("VirtualService", "web", hosts=["web"], tcp=[route, elsewhere]),
        )
        (own,) = (each for each in worlds.seen_by(mesh, "web-1").tcp if each.addresses == ("10.9.0.1",))
        return [each.hostname.split(".")[0] for each in own.destinations]

    assert ways("10.0.0.0/24") == ["db"]
    assert ways("10.7.0.0/16") == ["web"]


def backend(*more: d.Document, namespace: str = "shop") -> tuple[Any, Any]:
    """What a gateway shows to a backend, and what is said of it."""
    ref = {"name": "own", "namespace": namespace}
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    parent, target = {"name": "edge"}, {"group": "", "kind": "Service", "name": "web"}
    mesh, problems = worlds.world(
        *more,
        worlds.gateway("edge", "shop", listener, tls={"backend": {"clientCertificateRef": ref}}),
        worlds.gateway_pod("edge-1", "10.4.0.2", "edge"),
        d.pod("web-1", "10.0.0.1", labels={"app": "web"}, captured=False),
        SERVICE,
        worlds.api("HTTPRoute", "web", parentRefs=[parent], rules=[{"backendRefs": [{"name": "web", "port": 80}]}]),
        worlds.api(
            "BackendTLSPolicy",
            "web",
            targetRefs=[target],
            validation={"hostname": "web.example", "wellKnownCACertificates": "System"},
        ),
    )
    found = gateway.documents(worlds.served_by(mesh, "edge-1"))
    (cluster,) = (each for each in found["clusters"] if each["name"] == "outbound|80||web.shop.svc.cluster.local")
    (socket,) = (each["transport_socket"] for each in cluster["transport_socket_matches"] if each["name"] == "default")
    shown = socket["typed_config"]["common_tls_context"].get("tls_certificate_sds_secret_configs", [])
    said = {each.path: each.message for each in problems if each.kind == "Gateway"}
    return [each["name"] for each in shown], said


def test_a_gateway_shows_its_certificate_to_backends_that_a_policy_is_about() -> None:
    assert backend(worlds.secret("own")) == (["kubernetes://shop/own"], {})


def test_a_certificate_of_another_namespace_is_shown_to_backends_only_with_a_grant() -> None:
    shown, said = backend(worlds.secret("own", "vault"), namespace="vault")
    assert not shown and "ReferenceGrant" in said["spec.tls.backend.clientCertificateRef"]
    grant = {
        "from": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "shop"}],
        "to": [{"group": "", "kind": "Secret"}],
    }
    allowed = worlds.api("ReferenceGrant", "own", "vault", **grant)
    assert backend(worlds.secret("own", "vault"), allowed, namespace="vault") == (["kubernetes://vault/own"], {})


def test_what_no_machine_and_no_image_hears_is_said() -> None:
    _, problems = worlds.world(
        worlds.istio("WorkloadGroup", "group", template={"serviceAccount": "a"}),
        d.document("networking.istio.io/v1beta1", "ProxyConfig", "p", spec={"image": {"imageType": "debug"}}),
        d.document("networking.istio.io/v1beta1", "ProxyConfig", "q", spec={"concurrency": 2}),
    )
    assert {(each.kind, each.name, each.path) for each in problems} == {
        ("WorkloadGroup", "group", "spec"),
        ("ProxyConfig", "p", "spec.image.imageType"),
    }
