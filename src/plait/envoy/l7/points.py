"""Who reports, and what it knows of the two sides: labels as constants or as operators of Envoy's formatter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from plait.base.format_strings import literal
from plait.envoy import telemetry as l4
from plait.model.proxies import Proxy

Side = Literal["client", "server"]
SIDE = (
    "workload",
    "workload_namespace",
    "principal",
    "app",
    "version",
    "canonical_service",
    "canonical_revision",
    "cluster",
)
SERVICE = ("service", "service_name", "service_namespace")


@dataclass(frozen=True, slots=True)
class Point:
    """`reporter` as Istio names it; `identity` is the operator that prints the caller's SPIFFE id ("" none)."""

    reporter: Literal["source", "destination", "waypoint"]
    side: Side
    source: dict[str, str]
    destination: dict[str, str]
    service: dict[str, str]
    security: str
    identity: str = "%DOWNSTREAM_PEER_URI_SAN%"


def itself(proxy: Proxy) -> dict[str, str]:
    tags = proxy.tags
    app = (
        tags.get("service.istio.io/canonical-name")
        or tags.get("app.kubernetes.io/name")
        or tags.get("app")
        or proxy.name
    )
    revision = (
        tags.get("service.istio.io/canonical-revision") or tags.get("app.kubernetes.io/version") or tags.get("version")
    )
    labels = {
        "workload": proxy.workload or proxy.name,
        "workload_namespace": proxy.namespace,
        "principal": proxy.identity,
        "app": app,
        "version": revision or "latest",
        "canonical_service": app,
        "canonical_revision": revision or "latest",
        "cluster": proxy.cluster,
    }
    return {key: literal(value) for key, value in labels.items()}


def baggage(proxy: Proxy) -> str:
    """What the proxy says of itself where it sends into a tunnel."""
    own = itself(proxy)
    kind, name = (proxy.workload_type, proxy.workload) if proxy.workload else ("pod", proxy.name)
    return l4.baggage(proxy.cluster, proxy.namespace, kind, name, own["canonical_service"], own["canonical_revision"])


def caller(identity: str) -> dict[str, str]:
    """What is known of a client by its certificate: principal and namespace."""
    return {**dict.fromkeys(SIDE, l4.UNKNOWN), "principal": identity, "workload_namespace": _namespace(identity)}


def _namespace(identity: str) -> str:
    if identity != "%DOWNSTREAM_PEER_URI_SAN%":
        return l4.UNKNOWN
    san = "connection.uri_san_peer_certificate"
    return f"%CEL({san}.matches('/ns/[^/]+/') ? re.extract({san}, '/ns/([^/]+)/', '\\\\1') : '{l4.UNKNOWN}')%"


def outgoing(proxy: Proxy) -> Point:
    """A sidecar's outbound side and a gateway."""
    security = "%UPSTREAM_METADATA(plait.peer:security)%"
    return Point("source", "client", itself(proxy), l4.from_endpoint(), l4.from_cluster(), security)


def incoming(
    proxy: Proxy, service: dict[str, str], *, mutual: bool, identity: str = "%DOWNSTREAM_PEER_URI_SAN%"
) -> Point:
    source = caller(identity) if mutual else l4.nobody()
    return Point("destination", "server", source, itself(proxy), service, "mutual_tls" if mutual else "none", identity)


def waypoint(service: dict[str, str], identity: str) -> Point:
    return Point("waypoint", "server", caller(identity), l4.from_endpoint(), service, "mutual_tls", identity)


def service(hostname: str, name: str, namespace: str) -> dict[str, str]:
    labels = {"service": hostname, "service_name": name, "service_namespace": namespace}
    return {key: literal(value or l4.UNKNOWN) for key, value in labels.items()}
