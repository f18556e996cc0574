"""Who may, what is told of it, and how much."""

from __future__ import annotations

import json
from typing import Any

from kit import documents as d
from kit import worlds
from kit.fields.carriers.world import Document, security

REVIEWS, CART = {"kind": "Service", "name": "reviews"}, {"kind": "Service", "name": "cart"}
EDGE = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
TARGETS = [REVIEWS, CART, EDGE]


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


_TOLD = {
    "accessLogging": [{"providers": [{"name": "log"}]}],
    "tracing": [{"providers": [{"name": "spans"}], "randomSamplingPercentage": 50}],
    "metrics": [{"providers": [{"name": "prometheus"}]}],
}


CARRIERS: dict[str, tuple[Document, ...]] = {
    "PeerAuthentication": (
        security("PeerAuthentication", "tried", mtls={"mode": "STRICT"}),
        security("PeerAuthentication", "tried", selector={"matchLabels": {"app": "reviews"}}),
        security("PeerAuthentication", "tried", selector={"matchLabels": {"app": "cart"}}),
    ),
    "RequestAuthentication": (
        security(
            "RequestAuthentication", "tried", targetRefs=TARGETS, jwtRules=[{"issuer": "a", "jwks": '{"keys":[]}'}]
        ),
        security("RequestAuthentication", "tried", jwtRules=[{"issuer": "a", "jwks": '{"keys":[]}'}]),
        security("RequestAuthentication", "tried", jwtRules=[{"issuer": "a"}]),
    ),
    "AuthorizationPolicy": (
        security("AuthorizationPolicy", "tried", targetRefs=TARGETS, action="DENY", rules=[{}]),
        security("AuthorizationPolicy", "tried", action="DENY", rules=[{}]),
        security(
            "AuthorizationPolicy", "tried", targetRefs=TARGETS, action="CUSTOM", provider={"name": "a"}, rules=[{}]
        ),
    ),
    "Telemetry": (
        d.document("telemetry.istio.io/v1", "Telemetry", "tried", spec=_TOLD),
        d.document("telemetry.istio.io/v1", "Telemetry", "tried", spec={**_TOLD, "targetRefs": TARGETS}),
    ),
    "LimitPolicy": (worlds.limits("tried", targetRefs=TARGETS, connections={"max": 3}),),
}
BESIDE: dict[str, tuple[Document, ...]] = {
    "Telemetry": (_mesh(),),
}
