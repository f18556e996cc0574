"""From manifests to Envoy: what people write, compiled, projected and translated for all three L7 roles.

After a wanted change: PLAIT_GOLDEN=write pytest tests/golden/test_l7_manifests.py, then read the diff.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kit import documents as d
from kit import l7, worlds
from kit.envoys import validate
from plait.envoy.roles import gateway, sidecar, waypoint

HERE = Path(__file__).parent / "manifests"
USE = {"istio.io/use-waypoint": "waypoint"}
BASE = (
    worlds.waypoint(),
    worlds.gateway_pod("waypoint-1", "10.4.0.1", "waypoint"),
    worlds.gateway_pod("edge-1", "10.4.0.2", "edge"),
    d.service("cart", "10.9.0.1", labels=USE),
    d.service("reviews", "10.9.0.2"),
    d.service(
        "db", "10.9.0.3", port=5432, target=5432, spec={"ports": [{"name": "tcp", "port": 5432, "protocol": "TCP"}]}
    ),
    d.pod("cart-1", "10.0.0.4", labels={"app": "cart", "version": "v1"}),
    d.pod("db-1", "10.0.0.9", labels={"app": "db"}),
    worlds.sidecar_pod("web", "10.0.0.1", labels={"app": "web"}),
    worlds.sidecar_pod("reviews-1", "10.0.0.2", labels={"app": "reviews", "version": "v1"}),
    worlds.sidecar_pod("reviews-2", "10.0.0.3", labels={"app": "reviews", "version": "v2"}),
)
EDGE = (
    {"name": "http", "port": 80, "protocol": "HTTP"},
    {
        "name": "https",
        "port": 443,
        "protocol": "HTTPS",
        "hostname": "shop.example",
        "tls": {"certificateRefs": [{"name": "cert"}]},
    },
    {"name": "tls", "port": 8443, "protocol": "TLS", "hostname": "db.example", "tls": {"mode": "Passthrough"}},
)


def to(host: str, subset: str = "", weight: int = 100) -> dict[str, Any]:
    return {"destination": {"host": host, **({"subset": subset} if subset else {})}, "weight": weight}


def api_route(kind: str, name: str, section: str, **spec: Any) -> d.Document:
    return worlds.api(kind, name, parentRefs=[{"name": "edge", "sectionName": section}], **spec)


STORIES: dict[str, tuple[d.Document, ...]] = {
    "istio": (
        *BASE,
        worlds.rules(
            "reviews",
            subsets=[{"name": v, "labels": {"version": v}} for v in ("v1", "v2")],
            trafficPolicy={
                "loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}},
                "connectionPool": {"tcp": {"maxConnections": 7}, "http": {"http1MaxPendingRequests": 3}},
                "outlierDetection": {"consecutive5xxErrors": 3, "interval": "1s"},
            },
        ),
        worlds.routes(
            "reviews",
            [
                {
                    "match": [{"uri": {"prefix": "/v2"}, "headers": {"x-a": {"exact": "b"}}}],
                    "rewrite": {"uri": "/"},
                    "route": [to("reviews", "v2")],
                    "timeout": "2s",
                    "retries": {"attempts": 2, "retryOn": "5xx"},
                },
                {"match": [{"uri": {"exact": "/gone"}}], "directResponse": {"status": 410}},
                {
                    "fault": {"delay": {"fixedDelay": "1s", "percentage": {"value": 5}}},
                    "route": [to("reviews", "v1", 90), to("reviews", "v2", 10)],
                },
            ],
        ),
        worlds.routes(
            "cart", [{"match": [{"uri": {"prefix": "/old"}}], "redirect": {"uri": "/new"}}, {"route": [to("cart")]}]
        ),
        d.allow(
            "get",
            [{"to": [{"operation": {"methods": ["GET"]}}]}],
            spec={"targetRefs": [{"group": "", "kind": "Service", "name": "cart"}]},
        ),
        d.allow(
            "reviews",
            [{"from": [{"source": {"namespaces": ["shop"]}}]}],
            spec={"selector": {"matchLabels": {"app": "reviews"}}},
        ),
        d.peers("strict", "STRICT"),
    ),
    "gateway_api": (
        *BASE,
        worlds.gateway("edge", "shop", *EDGE),
        d.document("v1", "Secret", "cert", type="kubernetes.io/tls", data={"tls.crt": "", "tls.key": ""}),
        api_route(
            "HTTPRoute",
            "web",
            "http",
            hostnames=["shop.example"],
            rules=[
                {
                    "matches": [
                        {"path": {"type": "PathPrefix", "value": "/cart"}, "headers": [{"name": "x-a", "value": "b"}]}
                    ],
                    "filters": [
                        {
                            "type": "URLRewrite",
                            "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
                        }
                    ],
                    "backendRefs": [
                        {"name": "cart", "port": 80, "weight": 3},
                        {"name": "reviews", "port": 80, "weight": 1},
                    ],
                },
                {"matches": [{"path": {"value": "/lost"}}], "backendRefs": [{"name": "nobody", "port": 80}]},
                {
                    "matches": [{"path": {"value": "/r"}}],
                    "filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}],
                },
            ],
        ),
        api_route("HTTPRoute", "secure", "https", rules=[{"backendRefs": [{"name": "reviews", "port": 80}]}]),
        api_route(
            "TLSRoute", "db", "tls", hostnames=["db.example"], rules=[{"backendRefs": [{"name": "db", "port": 5432}]}]
        ),
    ),
}


LIMITED: dict[str, Any] = {
    "rateLimits": [
        {"name": "all", "requests": 100, "burst": 200},
        {
            "name": "login",
            "match": [
                {"path": {"exact": "/login"}, "methods": ["POST", "PUT"]},
                {"path": {"prefix": "/api"}, "headers": {"x-tier": {"regex": "gold|silver"}}},
            ],
            "by": [{"header": "x-user"}, {"clientAddress": True}],
            "requests": 5,
            "per": "1m",
            "refusal": {"status": 423, "headers": {"x-calm": "down"}},
        },
    ],
    "sharedRateLimit": {
        "service": {"name": "counting", "port": 8081},
        "domain": "shop",
        "timeout": "50ms",
        "failureMode": "Allow",
        "limits": [
            {"descriptor": [{"key": "kind", "value": "any"}]},
            {
                "match": [{"methods": ["POST"]}],
                "descriptor": [
                    {"key": "user", "header": "x-user"},
                    {"key": "method", "value": "POST"},
                    {"key": "remote_address", "clientAddress": True},
                ],
            },
        ],
    },
    "circuitBreaker": {"maxConnections": 10, "maxPendingRequests": 20, "maxRequests": 30, "maxRetries": 2},
    "adaptiveConcurrency": {"percentile": 90, "maxConcurrency": 200, "status": 503},
    "connections": {"max": 50, "rate": {"connections": 10, "per": "1s"}},
}
STORIES["limits"] = (
    *BASE,
    worlds.gateway("edge", "shop", *EDGE[:1]),
    api_route("HTTPRoute", "web", "http", rules=[{"backendRefs": [{"name": "cart", "port": 80}]}]),
    d.service("counting", "10.9.0.7", spec={"ports": [{"name": "grpc", "port": 8081, "protocol": "TCP"}]}),
    d.pod("counting-1", "10.0.0.8", labels={"app": "counting"}),
    worlds.rules("cart", trafficPolicy={"connectionPool": {"http": {"http2MaxRequests": 25}}}),
    *(
        worlds.limits(name, targetRefs=[ref], **LIMITED)
        for name, ref in (
            ("cart", {"kind": "Service", "name": "cart"}),
            ("reviews", {"kind": "Service", "name": "reviews"}),
            ("edge", {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}),
        )
    ),
)
_NUMBERS = {"redis": 6379, "thrift": 9090, "dubbo": 20880, "mongo": 27017, "mysql": 3306}
_DATA = {"ports": [{"name": name, "port": port, "protocol": "TCP"} for name, port in _NUMBERS.items()]}
_CALLS = {"plait.dev/serve-calls": "true"}
STORIES["calls"] = (
    worlds.waypoint(),
    worlds.gateway_pod("waypoint-1", "10.4.0.1", "waypoint"),
    worlds.sidecar_pod("web", "10.0.0.1", labels={"app": "web"}),
    d.service("behind", "10.9.0.1", labels=USE, annotations=_CALLS, spec=_DATA),
    d.service("straight", "10.9.0.2", annotations=_CALLS, spec=_DATA),
    d.service("bytes", "10.9.0.3", spec=_DATA),
    *(d.pod(f"{app}-1", f"10.0.1.{n}", labels={"app": app}) for n, app in enumerate(("behind", "straight", "bytes"))),
    worlds.rules("straight", trafficPolicy={"loadBalancer": {"consistentHash": {"useSourceIp": True}}}),
)


def translated(story: str, role: str) -> dict[str, Any]:
    mesh, _ = worlds.world(*STORIES[story])
    if role == "gateway":
        view = worlds.served_by(mesh, "edge-1")
        return {**gateway.documents(view), "refusals": [str(each) for each in gateway.refusals(view)]}
    if role == "waypoint":
        behind = worlds.behind(mesh, "waypoint-1")
        return {**waypoint.documents(behind), "refusals": [str(each) for each in waypoint.refusals(behind)]}
    seen = worlds.seen_by(mesh, "reviews-1" if role == "server" else "web")
    return {**sidecar.documents(seen), "refusals": [str(each) for each in sidecar.refusals(seen)]}


CASES = [
    ("istio", "waypoint"),
    ("istio", "client"),
    ("istio", "server"),
    ("gateway_api", "gateway"),
    *(("calls", role) for role in ("waypoint", "client")),
    *(("limits", role) for role in ("waypoint", "server", "gateway")),
]


@pytest.mark.parametrize(("story", "role"), CASES)
def test_documents_are_as_committed(story: str, role: str) -> None:
    text = json.dumps(translated(story, role), indent=1, sort_keys=True) + "\n"
    path = HERE / f"{story}_{role}.json"
    if os.environ.get("PLAIT_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text(), "PLAIT_GOLDEN=write rewrites the file; read the diff"


@pytest.mark.parametrize(("story", "role"), CASES)
def test_nothing_that_was_written_is_lost_on_the_way(story: str, role: str) -> None:
    assert translated(story, role)["refusals"] == []


@pytest.mark.envoy
@pytest.mark.parametrize(("story", "role"), CASES)
def test_envoy_accepts_the_whole(story: str, role: str, tmp_path: Path) -> None:
    validate(l7.composed(translated(story, role)), tmp_path)
