"""The Gateway API's kinds."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit import worlds
from kit.fields.carriers.world import BACKEND, GATEWAY, Document, with_spec

PARENTS = [
    {"name": "edge"},
    {"group": "", "kind": "Service", "name": "reviews"},
    {"group": "", "kind": "Service", "name": "cart"},
]
_PLAIN = {"name": "more", "port": 81, "protocol": "HTTP"}
_TLS = {"certificateRefs": [{"name": "cert"}]}
_SECURE = {"name": "http", "port": 443, "protocol": "HTTPS", "hostname": "shop.example", "tls": _TLS}
_PASSED = {"name": "more", "port": 444, "protocol": "TLS", "hostname": "*.example", "tls": {"mode": "Passthrough"}}
_ELSEWHERE = {"kind": "Gateway", "group": "gateway.networking.k8s.io", "name": "edge", "namespace": "shop"}


def _route(kind: str, **spec: Any) -> Document:
    return worlds.api(kind, "tried", parentRefs=PARENTS, **spec)


_TLS_ROUTE = worlds.api(
    "TLSRoute", "db", parentRefs=[{"name": "edge"}], hostnames=["db.example"], rules=[{"backendRefs": [BACKEND]}]
)


CARRIERS: dict[str, tuple[Document, ...]] = {
    "GatewayClass": (
        d.document(
            "gateway.networking.k8s.io/v1",
            "GatewayClass",
            "istio",
            "",
            spec={"controllerName": "istio.io/gateway-controller"},
        ),
    ),
    "gateway.networking.k8s.io Gateway": (
        GATEWAY,
        worlds.gateway("edge", "shop", _SECURE),
        worlds.gateway("edge", "shop", _PASSED),
        worlds.gateway("edge", "shop", {**_PASSED, "tls": {**_TLS, "mode": "Terminate"}}),
    ),
    "ListenerSet": (
        worlds.api(
            "ListenerSet",
            "more",
            parentRef={"name": "edge"},
            listeners=[{"name": "more", "port": 81, "protocol": "HTTP"}],
        ),
        worlds.api(
            "ListenerSet",
            "more",
            parentRef={"name": "edge"},
            listeners=[{**_SECURE, "name": "more", "port": 444}],
        ),
        worlds.api("ListenerSet", "more", parentRef={"name": "edge"}, listeners=[_PASSED]),
        worlds.api(
            "ListenerSet",
            "more",
            parentRef={"name": "edge"},
            listeners=[{**_PASSED, "tls": {**_TLS, "mode": "Terminate"}}],
        ),
    ),
    "HTTPRoute": (_route("HTTPRoute", rules=[{"backendRefs": [BACKEND]}]), _route("HTTPRoute", rules=[{}])),
    "GRPCRoute": (_route("GRPCRoute", rules=[{"backendRefs": [BACKEND]}]),),
    "TCPRoute": (
        _route("TCPRoute", rules=[{"backendRefs": [BACKEND]}]),
        worlds.api("TCPRoute", "tried", parentRefs=[{"name": "edge"}], rules=[{"backendRefs": [BACKEND]}]),
    ),
    "UDPRoute": (_route("UDPRoute", rules=[{"backendRefs": [BACKEND]}]),),
    "TLSRoute": (_route("TLSRoute", hostnames=["db.example"], rules=[{"backendRefs": [BACKEND]}]),),
    "ReferenceGrant": (
        worlds.api(
            "ReferenceGrant",
            "tried",
            "other",
            **{
                "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop"}],
                "to": [{"group": "", "kind": "Service"}],
            },
        ),
    ),
    "BackendTLSPolicy": (
        worlds.api(
            "BackendTLSPolicy",
            "tried",
            targetRefs=[{"group": "", "kind": "Service", "name": "reviews"}],
            validation={"hostname": "reviews.example", "wellKnownCACertificates": "System"},
        ),
        worlds.api(
            "BackendTLSPolicy",
            "tried",
            targetRefs=[{"group": "", "kind": "Service", "name": "reviews"}],
            validation={
                "hostname": "reviews.example",
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "roots"}],
            },
        ),
    ),
}
BESIDE: dict[str, tuple[Document, ...]] = {
    "gateway.networking.k8s.io Gateway": (
        _TLS_ROUTE,
        worlds.api(
            "BackendTLSPolicy",
            "reviews",
            targetRefs=[{"group": "", "kind": "Service", "name": "reviews"}],
            validation={"hostname": "reviews.example", "wellKnownCACertificates": "System"},
        ),
        worlds.namespace("elsewhere", **{"kubernetes.io/metadata.name": "elsewhere", "team": "a"}),
        worlds.api("ListenerSet", "more", "elsewhere", parentRef=_ELSEWHERE, listeners=[_PLAIN]),
        worlds.api(
            "HTTPRoute",
            "through",
            "elsewhere",
            parentRefs=[{**_ELSEWHERE, "sectionName": "http"}],
            rules=[{"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "a.example"}}]}],
        ),
    ),
    "ListenerSet": (
        worlds.api(
            "TLSRoute",
            "more",
            parentRefs=[{"group": "gateway.networking.k8s.io", "kind": "ListenerSet", "name": "more"}],
            hostnames=["db.example"],
            rules=[{"backendRefs": [BACKEND]}],
        ),
        worlds.namespace("elsewhere", **{"kubernetes.io/metadata.name": "elsewhere", "team": "a"}),
        worlds.api(
            "HTTPRoute",
            "far",
            "elsewhere",
            parentRefs=[
                {
                    "group": "gateway.networking.k8s.io",
                    "kind": "ListenerSet",
                    "name": "more",
                    "namespace": "shop",
                }
            ],
            rules=[{"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "a.example"}}]}],
        ),
        with_spec(GATEWAY, allowedListeners={"namespaces": {"from": "All"}}),
        worlds.api(
            "HTTPRoute",
            "through",
            parentRefs=[{"group": "gateway.networking.k8s.io", "kind": "ListenerSet", "name": "more"}],
            rules=[{"backendRefs": [BACKEND]}],
        ),
    ),
    "ReferenceGrant": (
        d.service("far", "10.9.0.5", "other"),
        worlds.api(
            "HTTPRoute",
            "far",
            parentRefs=[{"name": "edge"}],
            rules=[{"backendRefs": [{"name": "far", "namespace": "other", "port": 80}]}],
        ),
    ),
}
