"""Stories of Secrets that Istio's kinds name: found beside the proxy that shows them, and never told to another's."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds as l7
from plait.app.asked import said
from plait.envoy.l7.bundle import secrets
from plait.envoy.roles import gateway, sidecar
from plait.model.mesh import Mesh
from plait.model.views import gateway_projection

EDGE = d.pod("edge-1", "10.4.0.2", "ingress", labels={"istio": "edge"}, captured=False)
WEB = l7.sidecar_pod("web", "10.0.0.1", labels={"app": "web"})
PARTNER = l7.istio(
    "ServiceEntry",
    "partner",
    hosts=["partner.example"],
    ports=[{"number": 443, "name": "https", "protocol": "HTTPS"}, {"number": 80, "name": "http", "protocol": "HTTP"}],
    resolution="DNS",
)
ROUTE = l7.routes("x.example", [{"route": [{"destination": {"host": "partner.example", "port": {"number": 80}}}]}])


def serving(name: str, *more: d.Document) -> Mesh:
    server = {
        "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
        "hosts": ["x.example"],
        "tls": {"mode": "SIMPLE", "credentialName": name},
    }
    mesh, _ = l7.world(EDGE, l7.istio("Gateway", "edge", selector={"istio": "edge"}, servers=[server]), *more)
    return mesh


def shown(mesh: Mesh) -> list[str]:
    return sorted(
        secrets(gateway.documents(l7.served_by(mesh, "edge-1", "ingress"))["listeners"]) - {"default", "ROOTCA"}
    )


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (("ingress",), ["kubernetes://ingress/cert"]),
        (("shop",), ["kubernetes://shop/cert"]),
        (("shop", "ingress"), ["kubernetes://ingress/cert"]),
        (("other",), []),
    ],
)
def test_a_certificate_is_looked_for_beside_the_pods_then_beside_the_gateway(there: Any, found: list[str]) -> None:
    assert shown(serving("cert", *(l7.secret("cert", namespace) for namespace in there))) == found


def test_a_certificate_of_somebody_else_s_namespace_is_not_shown() -> None:
    assert shown(serving("other/cert", l7.secret("cert", "other"))) == []


def client(selector: bool, *more: d.Document) -> tuple[Mesh, d.Document]:
    tls = {"mode": "MUTUAL", "credentialName": "own"}
    chosen = {"workloadSelector": {"matchLabels": {"app": "web"}}} if selector else {}
    rule = l7.rules("partner.example", trafficPolicy={"tls": tls}, **chosen)
    return l7.world(WEB, EDGE, PARTNER, ROUTE, rule, *more)[0], rule


def test_a_sidecar_shows_a_certificate_for_a_rule_that_chooses_its_pod() -> None:
    mesh, _ = client(True, l7.secret("own"))
    [cluster] = [
        each
        for each in sidecar.documents(l7.seen_by(mesh, "web"))["clusters"]
        if each["name"] == "outbound|80||partner.example"
    ]
    assert secrets(cluster) == {"kubernetes://shop/own", "kubernetes://shop/own-cacert"}


def test_a_sidecar_leaves_other_rules_with_certificates_to_gateways() -> None:
    mesh, _ = client(False, l7.secret("own"))
    found = sidecar.documents(l7.seen_by(mesh, "web"))
    [cluster] = [each for each in found["clusters"] if each["name"] == "outbound|80||partner.example"]
    assert "transport_socket" not in cluster


def test_nothing_is_sent_where_the_certificate_is_missing() -> None:
    mesh, _ = client(True, l7.secret("own", "far"))
    found = next(each for each in l7.seen_by(mesh, "web").http if each.port == 80)
    [host] = [each for each in found.virtual_hosts if each.name == "partner.example:80"]
    assert [end.broken for end in host.routes[0].action.destinations] == ["Secret shop/own does not exist"]  # type: ignore[union-attr]


def test_a_patch_that_names_a_secret_of_another_namespace_gets_none() -> None:
    wanted = {
        "name": "outbound|80||x",
        "connect_timeout": "1s",
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": {
                    "tls_certificate_sds_secret_configs": [
                        {"name": f"kubernetes://{where}/own", "sds_config": {"ads": {}}} for where in ("far", "ingress")
                    ]
                },
            },
        },
    }
    patch = {"applyTo": "CLUSTER", "match": {"context": "GATEWAY"}, "patch": {"operation": "ADD", "value": wanted}}
    mesh = serving("cert", l7.secret("cert"), l7.istio("EnvoyFilter", "taking", "ingress", configPatches=[patch]))
    proxy = l7.who(mesh, "edge-1", "ingress")
    assert "kubernetes://far/own" in str(gateway.documents(gateway_projection.project(mesh, proxy)))
    _, made = said(mesh, proxy)
    assert made is not None
    assert made.secrets == {"default", "ROOTCA", "kubernetes://shop/cert", "kubernetes://ingress/own"}
