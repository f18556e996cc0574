"""What the mesh configuration sets, and that what it sets for nobody is told."""

from __future__ import annotations

from typing import Any

import pytest

from plait.model.compile.traffic.mesh_settings import Configured, configured
from plait.model.http_telemetry import SpanTag
from plait.model.l7 import L7Settings, ProxyHeaders
from plait.model.mesh import Settings
from plait.model.traffic import Keepalive

AT = "service: counting.shop.svc.cluster.local, port: 4317"


def read(text: str) -> Configured:
    return configured(text, Settings())


def told(text: str) -> list[tuple[str, str]]:
    return [(each.code, each.path) for each in read(text).problems]


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("tcpKeepalive: {time: 30s, probes: 3}", "keepalive", Keepalive(3, 30.0)),
        ("meshMTLS: {ecdhCurves: [P-256, P-224]}", "tls_curves", ("P-256",)),
        ("tlsDefaults: {cipherSuites: [AES256-SHA, ROT13]}", "other_ciphers", ("AES256-SHA",)),
        ("defaultConfig: {gatewayTopology: {proxyProtocol: {}}}", "proxy_protocol", True),
        ("defaultConfig: {tracing: {enableIstioTags: false}}", "istio_tags", False),
        (
            "defaultConfig: {tracing: {customTags: {team: {header: {name: x-team, defaultValue: none}}}}}",
            "span_tags",
            (SpanTag("team", "header", "x-team", "none"),),
        ),
        (
            "defaultConfig: {proxyHeaders: {requestId: {disabled: true}, server: {value: edge}}}",
            "headers",
            ProxyHeaders(request_id=False, server="edge"),
        ),
        ("defaultConfig: {proxyHeaders: {server: {disabled: true}}}", "headers", ProxyHeaders(server=None)),
    ],
)
def test_a_field_is_a_setting_of_every_proxy(text: str, field: str, value: Any) -> None:
    assert getattr(read(text).settings, field) == value
    assert getattr(L7Settings(), field) != value


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("includeRequestHeadersInCheck: [x-a, x-b*]", ("x-a", "x-b*")),
        ("includeHeadersInCheck: [x-old]", ("x-old",)),
        ("includeRequestHeadersInCheck: [x-a], includeHeadersInCheck: [x-old]", ("x-a",)),
    ],
)
def test_of_the_two_lists_of_headers_for_an_authorizer_the_newer_counts(written: str, sent: tuple[str, ...]) -> None:
    provider = f"envoyExtAuthzHttp: {{service: a.shop.svc.cluster.local, port: 80, {written}}}"
    found = read(f"extensionProviders: [{{name: ask, {provider}}}]")
    assert found.authorizers["ask"].headers == sent


def test_names_that_envoy_does_not_know_are_left_out_and_told() -> None:
    assert told("meshMTLS: {cipherSuites: [ROT13], ecdhCurves: [P-224]}") == [
        ("PLT0401", "meshMTLS.cipherSuites[0]"),
        ("PLT0401", "meshMTLS.ecdhCurves[0]"),
    ]


def test_a_sink_has_its_options_plain_and_times_in_seconds() -> None:
    logs = f"{{name: logs, envoyOtelAls: {{{AT}, logFormat: {{text: hello, labels: {{a: b}}}}}}}}"
    spans = f"{{name: spans, opentelemetry: {{{AT}, grpc: {{timeout: 1m}}}}}}"
    found = read(f"extensionProviders: [{logs}, {spans}]").sinks
    assert (found["logs"].option("text"), found["logs"].option("labels")) == ("hello", {"a": "b"})
    assert found["spans"].option("grpc") == {"timeout": 60.0}
