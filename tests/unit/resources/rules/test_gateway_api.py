"""Rules of the Gateway API that its CRDs state in CEL: each mistake is told at its field."""

from __future__ import annotations

from typing import Any

import pytest

from kit import worlds
from plait.resources.validate import validate

CART = {"name": "cart", "port": 80}
PREFIX = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}


def told(kind: str, **spec: Any) -> list[str]:
    return [problem.path for problem in validate(worlds.api(kind, "it", **spec))]


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
