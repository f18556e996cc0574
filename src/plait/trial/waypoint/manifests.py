"""The world of `plait demo --waypoint`: one service of two versions, a client, and what is written about them."""

from __future__ import annotations

from typing import Any, Final

from plait.base import wellknown
from plait.trial import witness

Document = dict[str, Any]
NAMESPACE: Final = "store"
NAME: Final = "waypoint"
SERVICE: Final = "orders"
AROUND: Final = "orders-direct"
"""Another Service of the same pods, which no policy names."""
CLIENT: Final = "client"
PORT: Final = 80
TARGET: Final = 8080
VERSIONS: Final = ("v1", "v2")
_API: Final = "gateway.networking.k8s.io/v1"


def world() -> list[Document]:
    """In the order of creation; nothing of it asks for a waypoint yet."""
    space = document("v1", "Namespace", NAMESPACE, namespace="")
    space["metadata"]["labels"] = {wellknown.DATAPLANE_MODE: "ambient"}
    found = [space, service(SERVICE), *(service(f"{SERVICE}-{v}", {"version": v}) for v in VERSIONS)]
    found.append(service(AROUND, waypoint="none"))
    found += [_pod(f"{SERVICE}-{v}", {"app": SERVICE, "version": v}, witness.container(v, TARGET)) for v in VERSIONS]
    return [
        *found,
        _pod(CLIENT, {"app": CLIENT}, {"name": "app", "image": "busybox", "command": ["sleep", "infinity"]}),
    ]


def document(version: str, kind: str, name: str, namespace: str = NAMESPACE, **rest: Any) -> Document:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **place}, **rest}


def service(name: str, selector: dict[str, str] | None = None, waypoint: str = "") -> Document:
    spec = {
        "selector": {"app": SERVICE, **(selector or {})},
        "ports": [{"name": "http", "port": PORT, "targetPort": TARGET}],
    }
    found = document("v1", "Service", name, spec=spec)
    if waypoint:
        found["metadata"]["labels"] = {wellknown.USE_WAYPOINT: waypoint}
    return found


def gateway(**annotations: str) -> Document:
    """Twelve lines that make a waypoint."""
    spec: Document = {
        "gatewayClassName": "istio-waypoint",
        "listeners": [{"name": "mesh", "port": wellknown.HBONE_PORT, "protocol": "HBONE"}],
    }
    if annotations:
        spec["infrastructure"] = {"annotations": annotations}
    return document(_API, "Gateway", NAME, spec=spec)


def weights(**shares: int) -> Document:
    """A route of the service: so many of a hundred to each version."""
    ends = [{"name": f"{SERVICE}-{version}", "port": PORT, "weight": share} for version, share in shares.items()]
    parent = {"group": "", "kind": "Service", "name": SERVICE, "port": PORT}
    return document(_API, "HTTPRoute", SERVICE, spec={"parentRefs": [parent], "rules": [{"backendRefs": ends}]})


def no_admin() -> Document:
    """DENY of a path: only a proxy that reads HTTP can judge it."""
    spec = {
        "targetRefs": [{"group": "", "kind": "Service", "name": SERVICE}],
        "action": "DENY",
        "rules": [{"to": [{"operation": {"paths": ["/admin*"]}}]}],
    }
    return document("security.istio.io/v1", "AuthorizationPolicy", "no-admin", spec=spec)


def _pod(name: str, labels: dict[str, str], container: Document) -> Document:
    found = document("v1", "Pod", name, spec={"terminationGracePeriodSeconds": 1, "containers": [container]})
    found["metadata"]["labels"] = labels
    return found
