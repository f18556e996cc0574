"""Short builders of L7 documents and of the views they lead to, so that a story shows only what it is about."""

from __future__ import annotations

import base64
from typing import Any

from kit import documents as d
from kit.pki import Authority
from plait.model.compile import compile
from plait.model.mesh import Mesh
from plait.model.proxies import Proxy
from plait.model.views import gateway_projection, sidecar_projection, waypoint_projection
from plait.model.views.asking import proxy_of
from plait.model.views.gateway import GatewayView
from plait.model.views.sidecar import SidecarView
from plait.model.views.waypoint import WaypointView
from plait.resources.objects import Objects, from_documents
from plait.resources.problems import Problem

_NETWORK = "networking.istio.io/v1"
_API = "gateway.networking.k8s.io/v1"


def world(*documents: d.Document) -> tuple[Mesh, tuple[Problem, ...]]:
    return compile(objects(*documents))


def objects(*documents: d.Document) -> Objects:
    found, unread = from_documents(documents, check=False)
    assert not unread, unread
    return found


def routes(name: str, http: list[Any] | None = None, namespace: str = "shop", /, **spec: Any) -> d.Document:
    rest = {key: spec.pop(key) for key in ("creationTimestamp",) if key in spec}
    written = {"hosts": [name], **({"http": http} if http is not None else {}), **spec}
    return d.document(_NETWORK, "VirtualService", name, namespace, spec=written, **rest)


def rules(name: str, namespace: str = "shop", /, **spec: Any) -> d.Document:
    rest = {key: spec.pop(key) for key in ("creationTimestamp",) if key in spec}
    return d.document(_NETWORK, "DestinationRule", name, namespace, spec={"host": name, **spec}, **rest)


def istio(kind: str, name: str, namespace: str = "shop", /, **spec: Any) -> d.Document:
    version = _NETWORK if kind != "EnvoyFilter" else "networking.istio.io/v1alpha3"
    return d.document(version, kind, name, namespace, spec=spec)


def api(kind: str, name: str, namespace: str = "shop", /, **spec: Any) -> d.Document:
    rest = {key: spec.pop(key) for key in ("creationTimestamp", "labels") if key in spec}
    return d.document(_API, kind, name, namespace, spec=spec, **rest)


def limits(name: str, target: str = "web", namespace: str = "shop", /, **spec: Any) -> d.Document:
    targets = spec.pop("targetRefs", [{"kind": "Service", "name": target}])
    rest = {key: spec.pop(key) for key in ("creationTimestamp",) if key in spec}
    return d.document(
        "plait.dev/v1alpha1", "LimitPolicy", name, namespace, spec={"targetRefs": targets, **spec}, **rest
    )


def waypoint(name: str = "waypoint", namespace: str = "shop", /, **rest: Any) -> d.Document:
    listener = {"name": "mesh", "port": 15008, "protocol": "HBONE"}
    return api("Gateway", name, namespace, gatewayClassName="istio-waypoint", listeners=[listener], **rest)


def gateway(name: str = "edge", namespace: str = "shop", /, *listeners: Any, **rest: Any) -> d.Document:
    written = listeners or ({"name": "http", "port": 80, "protocol": "HTTP"},)
    return api("Gateway", name, namespace, gatewayClassName="istio", listeners=list(written), **rest)


def gateway_pod(name: str, address: str, gateway: str, namespace: str = "shop", /, **rest: Any) -> d.Document:
    return d.pod(name, address, namespace, labels={"gateway.networking.k8s.io/gateway-name": gateway}, **rest)


def sidecar_pod(name: str, address: str, namespace: str = "shop", /, **rest: Any) -> d.Document:
    return d.pod(name, address, namespace, captured=False, annotations={"sidecar.istio.io/status": "{}"}, **rest)


def secret(name: str, namespace: str = "shop", /) -> d.Document:
    """A certificate with its key, as gateways show it."""
    leaf = Authority().issue("spiffe://cluster.local/ns/shop/sa/edge")
    held = {"tls.crt": leaf.certificate, "tls.key": leaf.key}
    data = {key: base64.b64encode(value).decode() for key, value in held.items()}
    return d.document("v1", "Secret", name, namespace, type="kubernetes.io/tls", data=data)


def namespace(name: str, **labels: str) -> d.Document:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def who(mesh: Mesh, pod: str, namespace: str = "shop") -> Proxy:
    proxy = proxy_of(mesh, f"Kubernetes//Pod/{namespace}/{pod}")
    assert proxy is not None, (pod, list(mesh.workloads))
    return proxy


def seen_by(mesh: Mesh, pod: str, namespace: str = "shop") -> SidecarView:
    proxy = who(mesh, pod, namespace)
    assert proxy.role == "sidecar"
    return sidecar_projection.project(mesh, proxy)


def served_by(mesh: Mesh, pod: str, namespace: str = "shop") -> GatewayView:
    proxy = who(mesh, pod, namespace)
    assert proxy.role == "gateway"
    return gateway_projection.project(mesh, proxy)


def behind(mesh: Mesh, pod: str, namespace: str = "shop") -> WaypointView:
    proxy = who(mesh, pod, namespace)
    assert proxy.role == "waypoint"
    return waypoint_projection.project(mesh, proxy)
