# ruff: noqa: E501 (rows of a table of cases)
"""Rules of the Gateway API that its CRDs state in CEL: each mistake is told at its field."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from kit import worlds
from plait.resources.validate import validate

CART = {"name": "cart", "port": 80}
PREFIX = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}


def told(kind: str, **spec: Any) -> list[str]:
    return [problem.path for problem in validate(worlds.api(kind, "it", **spec))]


def listening(rest: str) -> str:
    return f"{{gatewayClassName: istio, listeners: [{rest}]}}"


def edge(rest: str) -> str:
    return f"{{gatewayClassName: istio, listeners: [{{name: a, port: 80, protocol: HTTP}}], {rest}}}"


def routed(rest: str) -> str:
    return f"{{rules: [{{backendRefs: [{{name: cart, port: 80}}], {rest}}}]}}"


def filtered(*rest: str) -> str:
    return routed(f"filters: [{', '.join(f'{{{each}}}' for each in rest)}]")


def trusting(rest: str) -> str:
    return f"{{targetRefs: [{{group: '', kind: Service, name: cart}}], validation: {{hostname: cart.example, {rest}}}}}"


TLS = "tls: {certificateRefs: [{name: a}]}"
SET = "type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: b}]}"
ASK = "type: ExternalAuth, externalAuth: {backendRef: {name: authz, port: 80}, "
SYSTEM = "wellKnownCACertificates: System"
FILTERS = "spec.rules[0].filters"

RULES = [  # kind, spec, where it is told ("": it is right)
    ("Gateway", listening(f"{{name: a, port: 80, protocol: HTTP, {TLS}}}"), "spec.listeners[0].tls"),
    ("Gateway", listening("{name: a, port: 443, protocol: HTTPS}"), ""),
    (
        "Gateway",
        listening("{name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough}}"),
        "spec.listeners[0].tls.mode",
    ),
    ("Gateway", listening("{name: a, port: 443, protocol: TLS}"), "spec.listeners[0].tls"),
    ("Gateway", listening("{name: a, port: 443, protocol: TLS, tls: {mode: Passthrough}}"), ""),
    ("Gateway", listening("{name: a, port: 443, protocol: HTTPS, tls: {}}"), "spec.listeners[0].tls.certificateRefs"),
    ("Gateway", listening("{name: a, port: 443, protocol: HTTPS, tls: {options: {a: b}}}"), ""),
    ("Gateway", listening("{name: a, port: 80, protocol: UDP, hostname: a.b}"), "spec.listeners[0].hostname"),
    (
        "Gateway",
        listening("{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}"),
        "spec.listeners[1]",
    ),
    (
        "Gateway",
        listening("{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}"),
        "spec.listeners[1]",
    ),
    (
        "Gateway",
        listening("{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP, hostname: b.c}"),
        "",
    ),
    ("Gateway", edge("addresses: [{type: Hostname, value: a_b}]"), "spec.addresses[0].value"),
    ("Gateway", edge("addresses: [{type: Hostname, value: '*.b'}, {type: Hostname}]"), ""),
    ("Gateway", edge("addresses: [{type: Hostname, value: a.b}, {type: Hostname, value: a.b}]"), "spec.addresses[1]"),
    ("Gateway", edge("addresses: [{type: NamedAddress, value: a}, {type: NamedAddress, value: a}]"), ""),
    ("Gateway", edge("infrastructure: {labels: {-a: b}}"), "spec.infrastructure.labels[-a]"),
    ("Gateway", edge("infrastructure: {annotations: {a/b/c: d}}"), "spec.infrastructure.annotations[a/b/c]"),
    ("Gateway", edge("infrastructure: {annotations: {a.b/C_d: e}}"), ""),
    (
        "Gateway",
        edge("tls: {frontend: {default: {}, perPort: [{port: 1, tls: {}}, {port: 1, tls: {}}]}}"),
        "spec.tls.frontend.perPort[1]",
    ),
    (
        "ListenerSet",
        f"{{parentRef: {{name: a}}, listeners: [{{name: a, port: 80, protocol: TCP, {TLS}}}]}}",
        "spec.listeners[0].tls",
    ),
    ("HTTPRoute", "{rules: [{backendRefs: [{name: cart}]}]}", "spec.rules[0].backendRefs[0].port"),
    ("HTTPRoute", "{rules: [{backendRefs: [{group: a.b, kind: C, name: cart}]}]}", ""),
    ("HTTPRoute", "{rules: [{name: a}, {name: a}]}", "spec.rules[1]"),
    ("HTTPRoute", routed("matches: [{path: {value: /a//b}}]"), "spec.rules[0].matches[0].path.value"),
    ("HTTPRoute", routed("matches: [{path: {value: /a/..}}]"), "spec.rules[0].matches[0].path.value"),
    ("HTTPRoute", routed("matches: [{path: {type: Exact, value: a}}]"), "spec.rules[0].matches[0].path.value"),
    ("HTTPRoute", routed("matches: [{path: {type: RegularExpression, value: a//b}}]"), ""),
    ("HTTPRoute", routed("timeouts: {request: 1s, backendRequest: 2s}"), "spec.rules[0].timeouts.backendRequest"),
    ("HTTPRoute", routed("timeouts: {request: 0s, backendRequest: 2s}"), ""),
    ("HTTPRoute", filtered(SET, SET), FILTERS),
    ("HTTPRoute", filtered("type: CORS"), f"{FILTERS}[0].cors"),
    ("HTTPRoute", filtered(f"{SET}, cors: {{}}"), f"{FILTERS}[0].cors"),
    ("HTTPRoute", filtered("type: RequestRedirect, requestRedirect: {scheme: https}"), "spec.rules[0].backendRefs"),
    (
        "HTTPRoute",
        filtered("type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath}}"),
        f"{FILTERS}[0].urlRewrite.path.replaceFullPath",
    ),
    ("HTTPRoute", filtered("type: CORS, cors: {allowHeaders: ['*', a]}"), f"{FILTERS}[0].cors.allowHeaders"),
    (
        "HTTPRoute",
        filtered("type: RequestMirror, requestMirror: {backendRef: {name: a}}"),
        f"{FILTERS}[0].requestMirror.backendRef.port",
    ),
    (
        "HTTPRoute",
        filtered(
            "type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, fraction: {numerator: 3, denominator: 2}}"
        ),
        f"{FILTERS}[0].requestMirror.fraction",
    ),
    (
        "HTTPRoute",
        filtered(
            "type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, fraction: {numerator: 1}, percent: 1}"
        ),
        f"{FILTERS}[0].requestMirror",
    ),
    ("HTTPRoute", filtered(ASK + "protocol: GRPC, grpc: {}}", ASK + "protocol: HTTP, http: {}}"), ""),
    ("HTTPRoute", filtered(ASK + "protocol: GRPC}"), f"{FILTERS}[0].externalAuth.grpc"),
    ("HTTPRoute", filtered(ASK + "protocol: GRPC, grpc: {}, http: {}}"), f"{FILTERS}[0].externalAuth.http"),
    (
        "HTTPRoute",
        filtered("type: ExternalAuth, externalAuth: {backendRef: {name: authz}, protocol: HTTP, http: {}}"),
        f"{FILTERS}[0].externalAuth.backendRef.port",
    ),
    ("GRPCRoute", filtered(SET, SET), FILTERS),
    ("GRPCRoute", routed("matches: [{method: {service: ''}}]"), "spec.rules[0].matches[0].method.service"),
    ("GRPCRoute", routed("matches: [{method: {}}]"), "spec.rules[0].matches[0].method"),
    ("UDPRoute", "{rules: [{backendRefs: [{name: cart}]}]}", "spec.rules[0].backendRefs[0].port"),
    ("TCPRoute", "{rules: [{backendRefs: [{name: cart}]}]}", "spec.rules[0].backendRefs[0].port"),
    ("TLSRoute", "{hostnames: [a.b, 1.2.3.4], rules: [{backendRefs: [{name: cart, port: 1}]}]}", "spec.hostnames[1]"),
    ("TLSRoute", "{hostnames: [a.*.b], rules: [{backendRefs: [{name: cart, port: 1}]}]}", "spec.hostnames[0]"),
    ("BackendTLSPolicy", trusting(""), "spec.validation"),
    (
        "BackendTLSPolicy",
        trusting(f"{SYSTEM}, caCertificateRefs: [{{group: '', kind: ConfigMap, name: a}}]"),
        "spec.validation",
    ),
    (
        "BackendTLSPolicy",
        trusting(f"{SYSTEM}, subjectAltNames: [{{type: URI, hostname: a.b}}]"),
        "spec.validation.subjectAltNames[0]",
    ),
    ("BackendTLSPolicy", trusting(f"{SYSTEM}, subjectAltNames: [{{type: URI, uri: 'spiffe://a/b'}}]"), ""),
    ("ReferenceGrant", "{from: [{group: '', kind: Service, namespace: a}], to: []}", "spec.to"),
]


@pytest.mark.parametrize(("kind", "spec", "path"), RULES)
def test_what_the_definitions_refuse_is_told_at_its_field(kind: str, spec: str, path: str) -> None:
    assert told(kind, **yaml.safe_load(spec)) == ([path] if path else [])


def rule(**rest: Any) -> dict[str, Any]:
    return {"backendRefs": [CART], **rest}


def session(**rest: Any) -> dict[str, Any]:
    return rule(sessionPersistence=rest)


def call(**method: Any) -> dict[str, Any]:
    return rule(matches=[{"method": method}])


@pytest.mark.parametrize(
    ("found", "paths"),
    [
        (rule(matches=[{"path": {"value": "/a b"}}]), ["matches[0].path.value"]),
        (rule(matches=[{"path": {"value": "/a%20b"}}]), []),
        (session(type="Header", cookieConfig={"lifetimeType": "Session"}), ["sessionPersistence.cookieConfig"]),
        (session(cookieConfig={"lifetimeType": "Permanent"}), ["sessionPersistence.absoluteTimeout"]),
        (session(cookieConfig={"lifetimeType": "Permanent"}, absoluteTimeout="1h"), []),
        (
            rule(filters=[{"type": "CORS", "cors": {"allowOrigins": ["*", "https://a.b"], "allowMethods": ["*"]}}]),
            ["filters[0].cors.allowOrigins"],
        ),
        (
            {
                "matches": [{"path": {"value": "/a"}}, {"path": {"value": "/b"}}],
                "backendRefs": [{**CART, "filters": [{"type": "URLRewrite", "urlRewrite": {"path": PREFIX}}]}],
            },
            ["backendRefs[0].filters[0]"],
        ),
    ],
)
def test_rules_of_http_routes(found: dict[str, Any], paths: list[str]) -> None:
    assert told("HTTPRoute", rules=[found]) == [f"spec.rules[0].{path}" for path in paths]


@pytest.mark.parametrize(
    ("found", "paths"),
    [
        (call(service="a.b-c", method="M"), ["method.service"]),
        (call(service="a.B", method="m/n"), ["method.method"]),
        (call(service="a.*", type="RegularExpression"), []),
        (call(service=".a.B_1", method="M"), []),
    ],
)
def test_methods_of_grpc_routes(found: dict[str, Any], paths: list[str]) -> None:
    assert told("GRPCRoute", rules=[found]) == [f"spec.rules[0].matches[0].{path}" for path in paths]


def test_a_route_has_at_most_128_matches_in_all() -> None:
    half = rule(matches=[{"path": {"value": f"/{number}"}} for number in range(64)])
    assert told("HTTPRoute", rules=[half, half]) == []
    assert told("HTTPRoute", rules=[half, half, rule()]) == ["spec.rules"]


@pytest.mark.parametrize(
    ("parents", "paths"),
    [
        ([{"name": "edge", "sectionName": "a"}, {"name": "edge", "sectionName": "b"}], []),
        ([{"name": "edge", "port": 80}, {"name": "edge", "port": 81}], []),
        ([{"name": "edge"}, {"name": "edge", "namespace": "other"}], []),
        ([{"name": "edge"}, {"name": "edge", "sectionName": "b"}], ["spec.parentRefs[1]"]),
    ],
)
def test_a_parent_named_twice_is_named_alike(parents: list[dict[str, Any]], paths: list[str]) -> None:
    assert told("HTTPRoute", parentRefs=parents) == paths


def test_addresses_of_a_gateway_are_unique() -> None:
    listeners = [{"name": "http", "port": 80, "protocol": "HTTP"}]
    twice = [{"value": "10.0.0.1"}, {"value": "10.0.0.1"}]
    assert told("Gateway", gatewayClassName="istio", listeners=listeners, addresses=twice) == ["spec.addresses[1]"]


@pytest.mark.parametrize(
    ("sections", "paths"),
    [(["a", "b"], []), (["a", "a"], ["spec.targetRefs"]), (["a", None], ["spec.targetRefs"])],
)
def test_targets_of_a_backend_policy_are_distinct(sections: list[str | None], paths: list[str]) -> None:
    target = {"group": "", "kind": "Service", "name": "cart"}
    targets = [{**target, **({"sectionName": each} if each else {})} for each in sections]
    validation = {"hostname": "cart.example", "wellKnownCACertificates": "System"}
    assert told("BackendTLSPolicy", targetRefs=targets, validation=validation) == paths
