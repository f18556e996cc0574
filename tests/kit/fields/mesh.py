"""The mesh configuration as something to try: its text in its ConfigMap, and what a provider needs to be asked."""

from __future__ import annotations

import json
from typing import Any

from kit import documents as d

Document = dict[str, Any]
MESH_CONFIG = "MeshConfig"
AT = {"service": "counting.shop.svc.cluster.local", "port": 8081}
CARRIER: Document = {"apiVersion": "", "kind": MESH_CONFIG, "metadata": {"name": "istio"}, "spec": {}}
_SPANS = {"defaultProviders": {"tracing": ["used"]}}
_LOGS = {"defaultProviders": {"accessLogging": ["used"]}}
_ASKED: dict[str, Document] = {
    **dict.fromkeys(("zipkin", "datadog", "skywalking", "opentelemetry"), _SPANS),
    **dict.fromkeys(("envoyHttpAls", "envoyTcpAls", "envoyOtelAls", "envoyFileAccessLog"), _LOGS),
    "envoyExtAuthzHttp": {},
    "envoyExtAuthzGrpc": {},
}
"""Kinds of providers, and what makes proxies use one that is named so. (Of authorizers a policy does.)"""
JUDGED = d.document(
    "security.istio.io/v1",
    "AuthorizationPolicy",
    "asked",
    spec={"action": "CUSTOM", "provider": {"name": "used"}, "rules": [{"to": [{"operation": {"paths": ["/asked"]}}]}]},
)


_NAMED = {"headers": [{"name": "x-team"}]}


def mesh_config(spec: Document) -> Document:
    return d.document("v1", "ConfigMap", "istio", "istio-system", data={"mesh": json.dumps(spec)})


def _provider(kind: str, **more: Any) -> Document:
    place = {} if kind == "envoyFileAccessLog" else AT
    return {"extensionProviders": [{"name": "used", kind: {**place, **more}}]}


WITH: tuple[tuple[str, Document], ...] = (
    *((rf"MeshConfig:extensionProviders\[\]\.{kind}\.", {**_provider(kind), **more}) for kind, more in _ASKED.items()),
    (r"MeshConfig:extensionProviders\[\]\.lightstep\.", _provider("lightstep", accessToken="a")),
    (r"MeshConfig:extensionProviders\[\]\.name", {**_provider("zipkin"), **_SPANS}),
    (
        r"MeshConfig:defaultConfig\.tracing\.lightstep",
        {"defaultConfig": {"tracing": {"lightstep": {"address": "collector.example:80", "accessToken": "a"}}}},
    ),
    *(
        (rf"privateKeyProvider\.{kind}", {"defaultConfig": {"privateKeyProvider": {kind: {"pollDelay": "10ms"}}}})
        for kind in ("cryptomb", "qat")
    ),
    (
        r"MeshConfig:(defaultConfig\.tracing\.|enableTracing|defaultProviders\.tracing)",
        {**_provider("zipkin"), **_SPANS},
    ),
    (r"MeshConfig:defaultProviders\.accessLogging", _provider("envoyFileAccessLog")),
    (r"MeshConfig:accessLog(Format|Encoding)", {"accessLogFile": "/dev/stdout"}),
    (
        r"MeshConfig:extensionProviders.*opentelemetry\.http\.(timeout|headers)",
        {"extensionProviders": [{"opentelemetry": {"http": {"path": "/v1/traces", **_NAMED}}}]},
    ),
    (r"MeshConfig:.*zipkin\.headers\[\]\.", {"extensionProviders": [{"zipkin": _NAMED}]}),
    (
        r"MeshConfig:.*grpc\.initialMetadata\[\]\.",
        {"extensionProviders": [{"opentelemetry": {"grpc": {"initialMetadata": _NAMED["headers"]}}}]},
    ),
    *(
        (
            rf"MeshConfig:extensionProviders.*{kind}\.includeRequestBodyInCheck",
            {"extensionProviders": [{kind: {"includeRequestBodyInCheck": {"maxRequestBytes": 100}}}]},
        )
        for kind in ("envoyExtAuthzHttp", "envoyExtAuthzGrpc")
    ),
    (
        r"MeshConfig:(locality|zoneAware)LbSetting",
        {"defaultTrafficPolicy": {"outlierDetection": {"consecutive5xxErrors": 3}}},
    ),
    (r"MeshConfig:localityLbSetting\.failover\[", {"localityLbSetting": {"failover": [{"from": "r1", "to": "r2"}]}}),
    (
        r"MeshConfig:localityLbSetting\.distribute",
        {"localityLbSetting": {"distribute": [{"from": "*", "to": {"*": 100}}]}},
    ),
    (r"MeshConfig:zoneAwareLbSetting\.(failover|min)", {"zoneAwareLbSetting": {"enabled": True}}),
    (r"MeshConfig:zoneAwareLbSetting\.failover\[", {"zoneAwareLbSetting": {"failover": [{"from": "r1", "to": "r2"}]}}),
    (
        r"MeshConfig:defaultTrafficPolicy\.outlierDetection\.consecutiveLocal",
        {"defaultTrafficPolicy": {"outlierDetection": {"splitExternalLocalOriginErrors": True}}},
    ),
    (
        r"MeshConfig:defaultTrafficPolicy\.connectionPool\.http\.(http2KeepAlive|maxConcurrent)",
        {
            "defaultTrafficPolicy": {
                "connectionPool": {"http": {"h2UpgradePolicy": "UPGRADE", "http2KeepAlive": {"interval": "3s"}}}
            }
        },
    ),
    (r"MeshConfig:defaultHttpRetryPolicy\.(?!attempts)", {"defaultHttpRetryPolicy": {"attempts": 3}}),
)
"""What a field only makes sense with, by kind and path."""
BY_PATH: tuple[tuple[str, list[Any]], ...] = (
    (r"MeshConfig:extensionProviders\[\]\.name$", ["used", "other"]),
    (r"MeshConfig:extensionProviders.*\.service$", [AT["service"], "reviews.shop.svc.cluster.local"]),
    (r"MeshConfig:extensionProviders.*\.port$", [8081, 8080]),
    (r"MeshConfig:extensionProviders.*statusOnError$", ["503", "504"]),
    (r"MeshConfig:extensionProviders.*labels$", [{"method": "%REQ(:METHOD)%"}]),
    (r"MeshConfig:defaultProviders\.(tracing|accessLogging)$", [["used"]]),
    (r"MeshConfig:defaultProviders\.metrics$", [["nobody"]]),
    (r"MeshConfig:default.*ExportTo$", [["."], ["~"]]),
    (r"MeshConfig:(meshMTLS|tlsDefaults)\.ecdhCurves$", [["P-256"], ["P-384"]]),
    (r"MeshConfig:defaultConfig\..*[aA]ddress$", ["collector.example:9411", "other.example:80"]),
    (r"MeshConfig:.*pathPrefix$", ["/a", "/b"]),
    (r"MeshConfig:accessLogFile$|envoyFileAccessLog\.path$", ["/dev/stderr", "/dev/null"]),
    (r"MeshConfig:accessLogFormat$", ["%REQ(:METHOD)%"]),
    (r"MeshConfig:trustDomainAliases$", [["other.domain"]]),
    (r"MeshConfig:defaultConfig.proxyMetadata$", [{"A": "b"}]),
)
