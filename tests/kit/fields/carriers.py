"""Documents in which fields are tried: for each kind one or more objects, in a world in which they have an effect.

`reviews` has sidecars, `cart` is behind a waypoint, `edge` is a gateway of the Gateway API, `ingress` one of Istio's.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from kit import documents as d
from kit import worlds
from kit.fields import mesh
from kit.pki import Authority

Document = dict[str, Any]
USE = {"istio.io/use-waypoint": "waypoint"}
HOSTS = ["reviews.shop.svc.cluster.local", "cart.shop.svc.cluster.local", "shop.example"]
REVIEWS, CART = {"kind": "Service", "name": "reviews"}, {"kind": "Service", "name": "cart"}
EDGE = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
TARGETS = [REVIEWS, CART, EDGE]
PARENTS = [
    {"name": "edge"},
    {"group": "", "kind": "Service", "name": "reviews"},
    {"group": "", "kind": "Service", "name": "cart"},
]
BACKEND = {"name": "reviews", "port": 80}
_PLAIN = {"name": "more", "port": 81, "protocol": "HTTP"}
_TLS = {"certificateRefs": [{"name": "cert"}]}
_SECURE = {"name": "http", "port": 443, "protocol": "HTTPS", "hostname": "shop.example", "tls": _TLS}
_PASSED = {"name": "more", "port": 444, "protocol": "TLS", "hostname": "*.example", "tls": {"mode": "Passthrough"}}
_ELSEWHERE = {"kind": "Gateway", "group": "gateway.networking.k8s.io", "name": "edge", "namespace": "shop"}


def to(host: str, **more: Any) -> Document:
    return {"destination": {"host": f"{host}.shop.svc.cluster.local", "port": {"number": 80}}, **more}


def _ingress(*servers: Document) -> Document:
    listed = servers or (
        {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]},
        {"port": {"number": 5432, "name": "tcp", "protocol": "TCP"}, "hosts": ["*"]},
        {"port": {"number": 8443, "name": "tls", "protocol": "TLS"}, "hosts": ["*"], "tls": {"mode": "PASSTHROUGH"}},
    )
    return worlds.istio("Gateway", "ingress", selector={"app": "ingress"}, servers=list(listed))


def _to_subset(host: str, kind: str = "http") -> Document:
    found = {"destination": {"host": host, "subset": "v1"}}
    rules = {kind: [{"route": [found]}], "hosts": HOSTS if kind == "http" else [host], "gateways": ["mesh", "ingress"]}
    return worlds.istio("VirtualService", "all" if kind == "http" else "db", **rules)


def _mesh(**more: Any) -> Document:
    """The mesh configuration with a provider of each sort, each at a service of this world."""
    at = {"service": "counting.shop.svc.cluster.local", "port": 8081}
    config = {
        "extensionProviders": [
            {"name": "a", "envoyExtAuthzGrpc": at},
            {"name": "spans", "opentelemetry": at},
            {"name": "log", "envoyFileAccessLog": {"path": "/dev/stdout"}},
        ],
        **more,
    }
    return d.document("v1", "ConfigMap", "istio", "istio-system", data={"mesh": json.dumps(config)})


ROUTES = worlds.routes("all", [{"route": [to("reviews")]}], hosts=HOSTS, gateways=["mesh", "ingress"])
EDGE_ROUTE = worlds.api(
    "HTTPRoute", "edge", parentRefs=[{"name": "edge"}], hostnames=["*.example"], rules=[{"backendRefs": [BACKEND]}]
)
GATEWAY = worlds.gateway(
    "edge",
    "shop",
    {"name": "http", "port": 80, "protocol": "HTTP"},
    {"name": "tls", "port": 8443, "protocol": "TLS", "hostname": "*.example", "tls": {"mode": "Passthrough"}},
    {"name": "tcp", "port": 9000, "protocol": "TCP"},
)
PODS: tuple[Document, ...] = (
    worlds.namespace("shop", **{"kubernetes.io/metadata.name": "shop"}),
    worlds.waypoint(),
    worlds.gateway_pod("waypoint-1", "10.4.0.1", "waypoint"),
    worlds.gateway_pod("edge-1", "10.4.0.2", "edge"),
    d.pod("ingress-1", "10.4.0.3", labels={"app": "ingress"}, captured=False),
    d.service("cart", "10.9.0.1", labels=USE),
    d.service("reviews", "10.9.0.2"),
    d.service("db", "10.9.0.3", port=5432, target=5432, spec={"ports": [{"name": "tcp", "port": 5432}]}),
    d.service("counting", "10.9.0.4", spec={"ports": [{"name": "grpc", "port": 8081}]}),
    *(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": f"n{number}",
                "labels": {"topology.kubernetes.io/region": f"r{number}", "topology.kubernetes.io/zone": f"z{number}"},
            },
        }
        for number in (1, 2, 3)
    ),
    worlds.sidecar_pod("reviews-2", "10.0.0.12", labels={"app": "reviews", "version": "v2"}, node="n2"),
    worlds.sidecar_pod("reviews-3", "10.0.0.13", labels={"app": "reviews", "version": "v3"}, node="n3"),
    d.pod("cart-1", "10.0.0.4", labels={"app": "cart", "version": "v1"}),
    d.pod("counting-1", "10.0.0.8", labels={"app": "counting"}),
    d.pod("db-1", "10.0.0.9", labels={"app": "db"}),
    worlds.sidecar_pod("web", "10.0.0.1", labels={"app": "web", "version": "v2"}),
    worlds.sidecar_pod("reviews-1", "10.0.0.2", labels={"app": "reviews", "version": "v1"}),
)
TRUST = Authority()
LEAF = TRUST.issue("spiffe://cluster.local/ns/shop/sa/edge")
ROOTS = d.document("v1", "ConfigMap", "roots", data={"ca.crt": TRUST.root.decode()})


def _secret(name: str) -> Document:
    held = {"tls.crt": LEAF.certificate, "tls.key": LEAF.key, "ca.crt": TRUST.root}
    data = {key: base64.b64encode(value).decode() for key, value in held.items()}
    return d.document("v1", "Secret", name, type="kubernetes.io/tls", data=data)


SECRETS = _secret("cert"), _secret("cert2")
RULES = worlds.rules("all", host="*.shop.svc.cluster.local")
WORLD = (*PODS, *SECRETS, ROOTS, _ingress(), GATEWAY, ROUTES, EDGE_ROUTE)


def _spec(document: Document, **spec: Any) -> Document:
    return {**document, "spec": {**document["spec"], **spec}}


def _networking(kind: str, name: str, **spec: Any) -> Document:
    return worlds.istio(kind, name, **spec)


def _security(kind: str, name: str, **spec: Any) -> Document:
    return d.document("security.istio.io/v1", kind, name, spec=spec)


def _entry(**spec: Any) -> Document:
    written = {"hosts": ["out.example"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], **spec}
    return _networking("ServiceEntry", "out", **written)


def _route(kind: str, **spec: Any) -> Document:
    return worlds.api(kind, "tried", parentRefs=PARENTS, **spec)


_TOLD = {
    "accessLogging": [{"providers": [{"name": "log"}]}],
    "tracing": [{"providers": [{"name": "spans"}], "randomSamplingPercentage": 50}],
    "metrics": [{"providers": [{"name": "prometheus"}]}],
}


def _other_plugin() -> Document:
    """One whose place the tried one may take."""
    spec = {"url": "file:///b.wasm", "phase": "AUTHN", "priority": 5}
    return d.document("extensions.istio.io/v1alpha1", "WasmPlugin", "other", spec=spec)


PATCH = {"operation": "MERGE", "value": {"per_connection_buffer_limit_bytes": 4096}}
FILTER = {
    "operation": "INSERT_BEFORE",
    "value": {
        "name": "tried",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
            "max_request_bytes": 1000,
        },
    },
}


BEFORE_ROUTER = {
    "name": "envoy.filters.network.http_connection_manager",
    "subFilter": {"name": "envoy.filters.http.router"},
}


def _patch(applied: str, patch: Document, **match: Any) -> Document:
    written = {"applyTo": applied, "patch": patch, **({"match": match} if match else {})}
    return _networking("EnvoyFilter", "patch", configPatches=[written])


def _patches(applied: str, patch: Document) -> tuple[Document, ...]:
    return _patch(applied, patch, context="ANY"), _patch(applied, {**patch, "operation": "ADD"}, context="ANY")


CARRIERS: dict[str, tuple[Document, ...]] = {
    mesh.MESH_CONFIG: (mesh.CARRIER,),
    "VirtualService": (
        ROUTES,
        worlds.routes("all", [{"redirect": {"authority": "a.example"}}], hosts=HOSTS, gateways=["mesh", "ingress"]),
        worlds.routes("all", [{"directResponse": {"status": 403}}], hosts=HOSTS, gateways=["mesh", "ingress"]),
        worlds.routes("all", [{"delegate": {"name": "child"}}], hosts=HOSTS, gateways=["mesh", "ingress"]),
        worlds.routes(
            "all",
            hosts=["db.shop.svc.cluster.local"],
            tcp=[{"match": [{"port": 5432}], "route": [{"destination": {"host": "db.shop.svc.cluster.local"}}]}],
            gateways=["mesh", "ingress"],
        ),
        worlds.routes(
            "all",
            hosts=["db.shop.svc.cluster.local", "x.db.shop.svc.cluster.local"],
            tls=[
                {
                    "match": [{"sniHosts": ["db.shop.svc.cluster.local"]}],
                    "route": [{"destination": {"host": "db.shop.svc.cluster.local"}}],
                }
            ],
            gateways=["mesh", "ingress"],
        ),
    ),
    "DestinationRule": (
        RULES,
        _spec(RULES, subsets=[{"name": "v1", "labels": {"app": "reviews"}}]),
    ),
    "networking.istio.io Gateway": (
        _ingress(),
        _ingress(
            {
                "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                "hosts": ["shop.example"],
                "tls": {"mode": "SIMPLE", "credentialName": "cert"},
            }
        ),
        _ingress(
            {
                "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                "hosts": ["shop.example"],
                "tls": {"mode": "MUTUAL", "serverCertificate": "/a", "privateKey": "/b", "caCertificates": "/c"},
            }
        ),
        _ingress(
            {
                "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                "hosts": ["shop.example"],
                "tls": {
                    "mode": "MUTUAL",
                    "tlsCertificates": [{"serverCertificate": "/a", "privateKey": "/b", "caCertificates": "/c"}],
                },
            }
        ),
    ),
    "ServiceEntry": (
        _entry(resolution="STATIC", endpoints=[{"address": "10.1.1.1"}]),
        _entry(resolution="DNS"),
        _entry(resolution="STATIC", workloadSelector={"labels": {"app": "outside"}}),
    ),
    "Sidecar": (
        _networking("Sidecar", "web", outboundTrafficPolicy={"mode": "ALLOW_ANY"}),
        _networking("Sidecar", "web", egress=[{"hosts": ["./*"]}]),
        _networking(
            "Sidecar",
            "web",
            ingress=[{"port": {"number": 8080, "protocol": "HTTP", "name": "http"}}],
            egress=[{"hosts": ["./*"], "port": {"number": 80, "protocol": "HTTP", "name": "http"}}],
        ),
    ),
    "WorkloadEntry": (_networking("WorkloadEntry", "outside", address="10.1.1.2", labels={"app": "outside"}),),
    "WorkloadGroup": (_networking("WorkloadGroup", "group", template={"serviceAccount": "a"}),),
    "EnvoyFilter": (
        *_patches("HTTP_FILTER", FILTER),
        _patch("LISTENER", PATCH),
        _patch("CLUSTER", {"operation": "MERGE", "value": {"alt_stat_name": "x"}}),
        _patch("VIRTUAL_HOST", {"operation": "MERGE", "value": {"include_request_attempt_count": False}}),
        _patch("HTTP_ROUTE", {"operation": "MERGE", "value": {"stat_prefix": "x"}}),
        _patch("FILTER_CHAIN", {"operation": "MERGE", "value": {"transport_socket_connect_timeout": "3s"}}),
        _patch(
            "LISTENER_FILTER",
            {
                "operation": "INSERT_BEFORE",
                "value": {
                    "name": "tried",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
                    },
                },
            },
        ),
        _patch("HTTP_FILTER", {**FILTER, "operation": "INSERT_FIRST"}, context="WAYPOINT", waypoint={}),
        _patch("HTTP_FILTER", FILTER, context="WAYPOINT", waypoint={"filter": BEFORE_ROUTER}),
        _patch(
            "HTTP_ROUTE",
            {"operation": "MERGE", "value": {"stat_prefix": "x"}},
            context="WAYPOINT",
            waypoint={},
        ),
        _patch("NETWORK_FILTER", {"operation": "MERGE", "value": {"name": "envoy.filters.network.tcp_proxy"}}),
    ),
    "ProxyConfig": (d.document("networking.istio.io/v1beta1", "ProxyConfig", "tried", spec={}),),
    "PeerAuthentication": (
        _security("PeerAuthentication", "tried", mtls={"mode": "STRICT"}),
        _security("PeerAuthentication", "tried", selector={"matchLabels": {"app": "reviews"}}),
        _security("PeerAuthentication", "tried", selector={"matchLabels": {"app": "cart"}}),
    ),
    "RequestAuthentication": (
        _security(
            "RequestAuthentication", "tried", targetRefs=TARGETS, jwtRules=[{"issuer": "a", "jwks": '{"keys":[]}'}]
        ),
        _security("RequestAuthentication", "tried", jwtRules=[{"issuer": "a", "jwks": '{"keys":[]}'}]),
        _security("RequestAuthentication", "tried", jwtRules=[{"issuer": "a"}]),
    ),
    "AuthorizationPolicy": (
        _security("AuthorizationPolicy", "tried", targetRefs=TARGETS, action="DENY", rules=[{}]),
        _security("AuthorizationPolicy", "tried", action="DENY", rules=[{}]),
        _security(
            "AuthorizationPolicy", "tried", targetRefs=TARGETS, action="CUSTOM", provider={"name": "a"}, rules=[{}]
        ),
    ),
    "Telemetry": (
        d.document("telemetry.istio.io/v1", "Telemetry", "tried", spec=_TOLD),
        d.document("telemetry.istio.io/v1", "Telemetry", "tried", spec={**_TOLD, "targetRefs": TARGETS}),
    ),
    "WasmPlugin": (
        d.document("extensions.istio.io/v1alpha1", "WasmPlugin", "tried", spec={"url": "file:///a.wasm"}),
        d.document("extensions.istio.io/v1alpha1", "WasmPlugin", "tried", spec={"url": "https://a.example/a.wasm"}),
        d.document("extensions.istio.io/v1alpha1", "WasmPlugin", "tried", spec={"url": "oci://a.example/a"}),
    ),
    "TrafficExtension": (
        d.document("extensions.istio.io/v1alpha1", "TrafficExtension", "tried", spec={"lua": {"inlineCode": "a = 1"}}),
        d.document(
            "extensions.istio.io/v1alpha1", "TrafficExtension", "tried", spec={"wasm": {"url": "file:///a.wasm"}}
        ),
    ),
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
    "LimitPolicy": (worlds.limits("tried", targetRefs=TARGETS, connections={"max": 3}),),
}
_JUDGED = _security(
    "AuthorizationPolicy", "judged", action="DENY", rules=[{"to": [{"operation": {"methods": ["PUT"]}}]}]
)
_TLS_ROUTE = worlds.api(
    "TLSRoute", "db", parentRefs=[{"name": "edge"}], hostnames=["db.example"], rules=[{"backendRefs": [BACKEND]}]
)
BESIDE: dict[str, tuple[Document, ...]] = {
    mesh.MESH_CONFIG: (
        mesh.JUDGED,
        worlds.rules("db", host="db.shop.svc.cluster.local", trafficPolicy={"tls": {"mode": "SIMPLE"}}),
        _entry(resolution="DNS"),
    ),
    "WasmPlugin": (_other_plugin(), _JUDGED),
    "TrafficExtension": (_other_plugin(), _JUDGED),
    "EnvoyFilter": (
        worlds.istio(
            "EnvoyFilter",
            "zzz",
            configPatches=[
                {
                    "applyTo": "LISTENER",
                    "match": {"context": "GATEWAY"},
                    "patch": {"operation": "MERGE", "value": {"per_connection_buffer_limit_bytes": 8192}},
                }
            ],
            priority=3,
        ),
    ),
    "DestinationRule": (_to_subset("reviews.shop.svc.cluster.local"), _to_subset("db.shop.svc.cluster.local", "tcp")),
    "Telemetry": (_mesh(),),
    "Sidecar": (
        _security("PeerAuthentication", "off", selector={"matchLabels": {"app": "web"}}, mtls={"mode": "DISABLE"}),
    ),
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
        _spec(GATEWAY, allowedListeners={"namespaces": {"from": "All"}}),
        worlds.api(
            "HTTPRoute",
            "through",
            parentRefs=[{"group": "gateway.networking.k8s.io", "kind": "ListenerSet", "name": "more"}],
            rules=[{"backendRefs": [BACKEND]}],
        ),
    ),
    "VirtualService": (
        worlds.rules("all", host="*.shop.svc.cluster.local", subsets=[{"name": "v1", "labels": {"version": "v1"}}]),
        worlds.routes("child", [{"match": [{"uri": {"prefix": "/child"}}], "route": [to("reviews")]}], hosts=[]),
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
    "ServiceEntry": (_networking("WorkloadEntry", "outside", address="10.1.1.2", labels={"app": "outside"}),),
    "WorkloadEntry": (_entry(resolution="STATIC", workloadSelector={"labels": {"app": "outside"}}),),
}
"""Other objects that only make sense with the kind."""
