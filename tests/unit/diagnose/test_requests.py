"""Would a policy or route match this request: yes, no, or it depends on what nobody said."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds as l7
from plait.diagnose.requests import Request, Verdict, policy_matches, route_matches
from plait.model.routes import FieldMatch, Match, PathMatch, TextMatch

ME = Request(
    "GET", "/a/b?c=d", "web.shop", 80, (("x-team", "red"),), "spiffe://cluster.local/ns/shop/sa/me", "10.0.0.1"
)


def verdict(rule: dict[str, Any], request: Request = ME) -> Verdict:
    mesh, _ = l7.world(d.allow("p", [rule]))
    return policy_matches(mesh.l7.authorization["shop/p"], request)


def to(**operation: Any) -> dict[str, Any]:
    return {"to": [{"operation": operation}]}


def by(**source: Any) -> dict[str, Any]:
    return {"from": [{"source": source}]}


def when(key: str, *values: str, **more: Any) -> dict[str, Any]:
    return {"when": [{"key": key, **({"values": list(values)} if values else {}), **more}]}


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ({}, True),
        (to(methods=["GET", "HEAD"]), True),
        (to(methods=["POST"]), False),
        (to(notMethods=["POST"]), True),
        (to(paths=["/a/*"]), True),
        (to(paths=["/a/{*}"]), True),
        (to(paths=["/{*}"]), False),
        (to(paths=["/{**}"]), True),
        (to(hosts=["WEB.shop"]), True),
        (to(ports=["80"], methods=["PUT"]), False),
        (by(principals=["cluster.local/ns/shop/sa/me"]), True),
        (by(principals=["*"]), True),
        (by(namespaces=["other"]), False),
        (by(ipBlocks=["10.0.0.0/8"]), True),
        (by(notIpBlocks=["10.0.0.0/8"]), False),
        (by(serviceAccounts=["shop/me"]), True),
        (by(requestPrincipals=["*"]), None),
        (by(requestPrincipals=["*"], namespaces=["other"]), False),
        (when("request.headers[X-Team]", "red"), True),
        (when("request.headers[x-team]", "blue"), False),
        (when("request.headers[x-other]", notValues=["blue"]), True),
        (when("request.auth.claims[group]", "a"), None),
        ({**to(methods=["POST"]), **when("request.auth.claims[group]", "a")}, False),
        ({**to(methods=["GET"]), **when("source.namespace", "shop")}, True),
    ],
)
def test_a_rule_matches_as_the_proxies_would_have_it(rule: dict[str, Any], wanted: Verdict) -> None:
    assert verdict(rule) is wanted


def test_who_has_no_identity_matches_no_name() -> None:
    nobody = Request("GET", "/", "web.shop", 80)
    assert verdict(by(principals=["*"]), nobody) is False
    assert verdict(by(notPrincipals=["*"]), nobody) is True
    assert verdict(by(ipBlocks=["10.0.0.0/8"]), nobody) is None


@pytest.mark.parametrize(
    ("match", "wanted"),
    [
        (Match(), True),
        (Match(path=PathMatch("exact", "/a/b")), True),
        (Match(path=PathMatch("segments", "/a")), True),
        (Match(path=PathMatch("segments", "/a/bb")), False),
        (Match(path=PathMatch("prefix", "/A", ignore_case=True)), True),
        (Match(path=PathMatch("regex", "/./.")), True),
        (Match(method=TextMatch("exact", "POST")), False),
        (Match(port=81), False),
        (Match(headers=(FieldMatch("x-team", TextMatch("present")),)), True),
        (Match(headers=(FieldMatch("x-team", TextMatch("exact", "red"), negated=True),)), False),
        (Match(query=(FieldMatch("c", TextMatch("exact", "d")),)), None),
    ],
)
def test_a_route_takes_what_its_matches_hold_for(match: Match, wanted: Verdict) -> None:
    assert route_matches((match,), ME) is wanted


def test_a_route_without_matches_takes_everything() -> None:
    assert route_matches((), ME) is True
