"""The world in which fields are tried: it has a proxy of each role, so that every kind has an effect in it.

`reviews` has sidecars, `cart` is behind a waypoint, `edge` is a gateway of the Gateway API, `ingress` one of Istio's.
"""

from __future__ import annotations

import base64
from typing import Any

from kit import documents as d
from kit import worlds
from kit.pki import Authority

Document = dict[str, Any]
USE = {"istio.io/use-waypoint": "waypoint"}
HOSTS = ["reviews.shop.svc.cluster.local", "cart.shop.svc.cluster.local", "shop.example"]
BACKEND = {"name": "reviews", "port": 80}


def to(host: str, **more: Any) -> Document:
    return {"destination": {"host": f"{host}.shop.svc.cluster.local", "port": {"number": 80}}, **more}


def ingress(*servers: Document) -> Document:
    listed = servers or (
        {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]},
        {"port": {"number": 5432, "name": "tcp", "protocol": "TCP"}, "hosts": ["*"]},
        {"port": {"number": 8443, "name": "tls", "protocol": "TLS"}, "hosts": ["*"], "tls": {"mode": "PASSTHROUGH"}},
    )
    return worlds.istio("Gateway", "ingress", selector={"app": "ingress"}, servers=list(listed))


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
WORLD = (*PODS, *SECRETS, ROOTS, ingress(), GATEWAY, ROUTES, EDGE_ROUTE)


def with_spec(document: Document, **spec: Any) -> Document:
    return {**document, "spec": {**document["spec"], **spec}}


def security(kind: str, name: str, **spec: Any) -> Document:
    return d.document("security.istio.io/v1", kind, name, spec=spec)


def entry(**spec: Any) -> Document:
    written = {"hosts": ["out.example"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], **spec}
    return worlds.istio("ServiceEntry", "out", **written)
