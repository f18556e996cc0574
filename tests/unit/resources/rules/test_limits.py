"""What a LimitPolicy may hold: each mistake is told at its field, with a way out."""

from __future__ import annotations

from typing import Any

import pytest

from kit import worlds
from plait.resources.validate import validate

DESCRIBED: dict[str, Any] = {
    "service": {"name": "counting", "port": 8081},
    "domain": "shop",
    "limits": [{"descriptor": [{"key": "a", "value": "b"}]}],
}


def said(**spec: Any) -> dict[str, str]:
    return {problem.path: problem.message for problem in validate(worlds.limits("limits", **spec))}


def rate(**more: Any) -> dict[str, Any]:
    return {"rateLimits": [{"name": "all", "requests": 5, **more}]}


def shared(**more: Any) -> dict[str, Any]:
    return {"sharedRateLimit": {**DESCRIBED, **more}}


@pytest.mark.parametrize(
    "spec",
    [
        rate(),
        rate(burst=5, per="1h", match=[{"path": {"prefix": "/a"}}], by=[{"header": "x-user"}, {"clientAddress": True}]),
        shared(),
        {"circuitBreaker": {"maxRequests": 1}},
        {"adaptiveConcurrency": {}},
        {"connections": {"max": 1}},
    ],
)
def test_what_is_right_is_taken(spec: dict[str, Any]) -> None:
    assert said(**spec) == {}


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({}, "spec", "nothing is limited"),
    ({**rate(), "targetRefs": []}, "spec.targetRefs", "add"),
    (rate(per="10ms"), "spec.rateLimits[0].per", "50ms"),
    (rate(per="soon"), "spec.rateLimits[0].per", "soon"),
    (rate(requests=0), "spec.rateLimits[0].requests", "1 to"),
    (rate(burst=4), "spec.rateLimits[0].burst", "less than the 5"),
    (rate(by=[{}]), "spec.rateLimits[0].by[0]", "none of header, clientAddress"),
    (rate(by=[{"header": "a b"}]), "spec.rateLimits[0].by[0].header", "no header name"),
    (rate(match=[{}]), "spec.rateLimits[0].match[0]", "empty"),
    (rate(match=[{"path": {"regex": "(?=a)"}}]), "spec.rateLimits[0].match[0].path.regex", "RE2"),
    (rate(refusal={"status": 200}), "spec.rateLimits[0].refusal.status", "200 is not allowed"),
    (rate(refusal={"headers": {"a b": "c"}}), "spec.rateLimits[0].refusal.headers.a b", "not a header name"),
    (rate(refusal={"headers": {"host": "c"}}), "spec.rateLimits[0].refusal.headers.host", "can only be set"),
    (rate(refusal={"headers": {"a": "b\nc"}}), "spec.rateLimits[0].refusal.headers.a", "line break"),
    (rate(sum=1), "spec.rateLimits[0].sum", ""),
    (shared(timeout="0s"), "spec.sharedRateLimit.timeout", "1ms"),
    (shared(failureMode="Maybe"), "spec.sharedRateLimit.failureMode", "Deny"),
    (
        shared(limits=[{"descriptor": [{"key": "a"}]}]),
        "spec.sharedRateLimit.limits[0].descriptor[0]",
        "none of value, header, clientAddress",
    ),
    (
        shared(limits=[{"match": [{"methods": ["GET"]}], "descriptor": [{"key": "a", "header": "x-a"}]}]),
        "spec.sharedRateLimit.limits[0].descriptor",
        "stands for the match",
    ),
    ({"circuitBreaker": {}}, "spec.circuitBreaker", "no threshold"),
    (
        {"adaptiveConcurrency": {"minConcurrency": 9, "maxConcurrency": 8}},
        "spec.adaptiveConcurrency.minConcurrency",
        "more than",
    ),
    ({"connections": {}}, "spec.connections", "neither"),
    ({"connections": {"rate": {"connections": 1, "per": "1ms"}}}, "spec.connections.rate.per", "50ms"),
]


@pytest.mark.parametrize(("spec", "path", "words"), WRONG)
def test_a_mistake_is_told_at_its_field(spec: dict[str, Any], path: str, words: str) -> None:
    found = said(**spec)
    assert path in found and words in found[path], found


def test_two_limits_of_one_name_are_told() -> None:
    twice = {"rateLimits": [{"name": "all", "requests": 1}, {"name": "all", "requests": 2}]}
    assert any("all" in text for text in said(**twice).values())
