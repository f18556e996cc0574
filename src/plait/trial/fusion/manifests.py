"""The world of the fusion trial: one client and one service for each mode, the same routes and policies for each."""

from __future__ import annotations

from typing import Any, Final

from plait.model.enforcement import ClientMode, ServerMode
from plait.trial import witness
from plait.trial.fusion.corpus import BRITTLE, CROWD, DELAY, RATE

Document = dict[str, Any]
NAMESPACE: Final = "cells"
ISSUER: Final = "https://issuer.cells"
PORT: Final = 80
TARGET: Final = 8080
WAYPOINT: Final = "waypoint"
CLIENTS: Final[dict[ClientMode, str]] = {
    "none": "c-none",
    "ambient": "c-ambient",
    "ambient+waypoint": "c-waypoint",
    "sidecar": "c-sidecar",
}
SERVERS: Final[dict[ServerMode, str]] = {
    "none": "s-none",
    "ambient": "s-ambient",
    "ambient+waypoint": "s-waypoint",
    "sidecar": "s-sidecar",
}
_AMBIENT: Final = {"istio.io/dataplane-mode": "ambient"}
_MODES: Final[dict[str, dict[str, str]]] = {
    "none": {},
    "ambient": _AMBIENT,
    "ambient+waypoint": _AMBIENT,
    "sidecar": {"sidecar.istio.io/inject": "true"},
}


def world(jwks: str) -> list[Document]:
    """Everything in the order of creation; `jwks` are the keys of ISSUER as JSON."""
    found = [_object("v1", "Namespace", NAMESPACE, namespace=""), _waypoint()]
    found += [_pod(name, {"app": name, **_MODES[mode]}, _client()) for mode, name in CLIENTS.items()]
    for mode, name in SERVERS.items():
        found += [_service(name, waypoint=mode == "ambient+waypoint")]
        found += [
            _pod(f"{name}-{v}", {"app": name, "version": v, **_MODES[mode]}, witness.container(v, TARGET))
            for v in ("v1", "v2")
        ]
    # Its members count what is mirrored to them, whoever sends it.
    found += [_service("mirror"), _pod("mirror", {"app": "mirror", "version": "v1"}, witness.container("v1", TARGET))]
    return found + [each for name in SERVERS.values() for each in policies(name, jwks)]


def policies(host: str, jwks: str) -> list[Document]:
    """The same sentence about each service."""
    target = [{"group": "", "kind": "Service", "name": host}]
    subsets: list[Document] = [{"name": v, "labels": {"version": v}} for v in ("v1", "v2")]
    breaker = {"connectionPool": {"http": {"http2MaxRequests": BRITTLE}}}
    subsets.append({"name": "brittle", "labels": {"version": "v1"}, "trafficPolicy": breaker})
    rules = [
        _route("/to-v2", host, subset="v2"),
        _route("/old", host, rewrite={"uri": "/new"}),
        _route(
            "/headers",
            host,
            headers={"request": {"add": {"x-once": "1"}}, "response": {"add": {"x-answered": "1"}}},
        ),
        _route("/flaky", host, retries={"attempts": 3, "perTryTimeout": "2s", "retryOn": "5xx"}),
        _route("/mirrored", host, mirror={"host": "mirror", "port": {"number": PORT}}),
        _route("/faulty", host, fault={"abort": {"httpStatus": 555, "percentage": {"value": 100}}}),
        _route("/delayed", host, fault={"delay": {"fixedDelay": f"{DELAY}s", "percentage": {"value": 100}}}),
        _route("/slow", host, timeout="0.5s"),
        _route("/brittle", host, subset="brittle", retries={"attempts": 0}),
        {"match": [{"uri": {"prefix": "/moved"}}], "redirect": {"uri": "/found"}},
        _route("/", host, retries={"attempts": 0}),
    ]
    return [
        _object("networking.istio.io/v1", "DestinationRule", host, spec={"host": host, "subsets": subsets}),
        _object("networking.istio.io/v1", "VirtualService", host, spec={"hosts": [host], "http": rules}),
        _limits(host),
        _object(
            "security.istio.io/v1",
            "RequestAuthentication",
            host,
            spec={"targetRefs": target, "jwtRules": [{"issuer": ISSUER, "jwks": jwks}]},
        ),
        _object(
            "security.istio.io/v1",
            "AuthorizationPolicy",
            host,
            spec={
                "targetRefs": target,
                "action": "DENY",
                "rules": [
                    {"to": [{"operation": {"paths": ["/denied"]}}]},
                    {
                        "from": [{"source": {"notRequestPrincipals": ["*"]}}],
                        "to": [{"operation": {"paths": ["/private"]}}],
                    },
                ],
            },
        ),
    ]


def _limits(host: str) -> Document:
    """Each tag has a count of its own, so that cells do not share one."""
    rate = {"name": "each", "match": [{"path": {"prefix": "/limited"}}], "by": [{"header": "x-tag"}]}
    spec = {
        "targetRefs": [{"kind": "Service", "name": host}],
        "rateLimits": [{**rate, "requests": RATE, "per": "1h"}],
        "circuitBreaker": {"maxRequests": CROWD},
    }
    return _object("plait.dev/v1alpha1", "LimitPolicy", host, spec=spec)


def _route(prefix: str, host: str, subset: str = "v1", **more: Any) -> Document:
    destination = {"host": host, "subset": subset, "port": {"number": PORT}}
    return {"match": [{"uri": {"prefix": prefix}}], "route": [{"destination": destination}], **more}


def _object(version: str, kind: str, name: str, namespace: str = NAMESPACE, **rest: Any) -> Document:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **place}, **rest}


def _waypoint() -> Document:
    listeners = [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]
    spec = {"gatewayClassName": "istio-waypoint", "listeners": listeners}
    return _object("gateway.networking.k8s.io/v1", "Gateway", WAYPOINT, spec=spec)


def _service(name: str, waypoint: bool = False) -> Document:
    found = _object("v1", "Service", name)
    found["spec"] = {"selector": {"app": name}, "ports": [{"name": "http", "port": PORT, "targetPort": TARGET}]}
    found["metadata"]["labels"] = {"istio.io/use-waypoint": WAYPOINT} if waypoint else {}
    return found


def _pod(name: str, labels: dict[str, str], container: Document) -> Document:
    found = _object("v1", "Pod", name, spec={"terminationGracePeriodSeconds": 1, "containers": [container]})
    found["metadata"]["labels"] = labels
    return found


def _client() -> Document:
    return {"name": "app", "image": "busybox", "command": ["sleep", "infinity"]}
