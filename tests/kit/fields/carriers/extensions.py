"""What is put into proxies: patches and plugins."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit import worlds
from kit.fields.carriers.world import Document, security


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
    return worlds.istio("EnvoyFilter", "patch", configPatches=[written])


def _patches(applied: str, patch: Document) -> tuple[Document, ...]:
    return _patch(applied, patch, context="ANY"), _patch(applied, {**patch, "operation": "ADD"}, context="ANY")


_JUDGED = security(
    "AuthorizationPolicy", "judged", action="DENY", rules=[{"to": [{"operation": {"methods": ["PUT"]}}]}]
)


CARRIERS: dict[str, tuple[Document, ...]] = {
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
}
BESIDE: dict[str, tuple[Document, ...]] = {
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
    "WasmPlugin": (_other_plugin(), _JUDGED),
    "TrafficExtension": (_other_plugin(), _JUDGED),
}
