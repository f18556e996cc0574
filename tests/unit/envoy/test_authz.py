"""Policies as formulas, and both Envoy forms of them, against a plain reading of the semantics."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from plait.base.wellknown import RESERVED_PORTS
from plait.envoy import authz, names, plaintext, rbac
from plait.model.policies import Account, Group, Match, Policy, Range, Rule, Text

POD = ("10.1.1.5",)


def policy(*matches: Match, action: str = "deny", name: str = "p", dry_run: bool = False) -> Policy:
    return Policy(name, "ns", "namespace", action, (Group((Rule(matches),)),), dry_run)  # type: ignore[arg-type]


def holds(principal: dict[str, Any], uri: str, ip: str, authority: str) -> bool:
    """What Envoy's RBAC says, as its API documents it."""
    ((kind, value),) = principal.items()
    match kind:
        case "any":
            return True
        case "and_ids":
            return all(holds(p, uri, ip, authority) for p in value["ids"])
        case "or_ids":
            return any(holds(p, uri, ip, authority) for p in value["ids"])
        case "not_id":
            return not holds(value, uri, ip, authority)
        case "authenticated":
            return text(value["principal_name"], uri)
        case "header":
            assert value["name"] == ":authority"
            return text(value["string_match"], authority)
        case "direct_remote_ip":
            return ip_address(ip) in ip_network(f"{value['address_prefix']}/{value['prefix_len']}")
    raise AssertionError(kind)


def text(matcher: dict[str, Any], value: str) -> bool:
    ((how, wanted),) = matcher.items()
    if how == "safe_regex":
        return re.fullmatch(wanted["regex"], value) is not None
    return {"exact": value == wanted, "prefix": value.startswith(wanted), "suffix": value.endswith(wanted)}[how]


def judged(match: Match, uri: str = "spiffe://td/ns/shop/sa/cart", ip: str = "10.1.2.3", port: int = 80) -> bool:
    formula = authz.resolve(authz.matches(policy(match)), authz.at_addresses(POD))
    return holds(rbac.principal(formula, POD), uri, ip, f"{POD[0]}:{port}")


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (Match(), False),
        (Match(principals=(Text("exact", "td/ns/shop/sa/cart"),)), True),
        (Match(principals=(Text("exact", "spiffe://td/ns/shop/sa/cart"),)), False),
        (Match(principals=(Text("prefix", "td/ns/sh"),)), True),
        (Match(principals=(Text("suffix", "/sa/cart"),)), True),
        (Match(principals=(Text("suffix", "/sa/car"),)), False),
        (Match(principals=(Text("presence"),)), True),
        (Match(not_principals=(Text("presence"),)), False),
        (Match(not_principals=(Text("exact", "td/ns/shop/sa/other"),)), True),
        (Match(namespaces=(Text("exact", "shop"),)), True),
        (Match(namespaces=(Text("exact", "sho"),)), False),
        (Match(namespaces=(Text("prefix", "sh"),)), True),
        (Match(namespaces=(Text("suffix", "op"),)), True),
        (Match(namespaces=(Text("exact", "s.op"),)), False),
        (Match(not_namespaces=(Text("exact", "shop"),)), False),
        (Match(accounts=(Account("shop", "cart"),)), True),
        (Match(accounts=(Account("shop", "car"),)), False),
        (Match(not_accounts=(Account("shop", "cart"),)), False),
        (Match(source_ips=(Range("10.1.2.0", 24),)), True),
        (Match(source_ips=(Range("10.1.3.0", 24), Range("10.1.2.3", 32))), True),
        (Match(not_source_ips=(Range("10.1.2.0", 24),)), False),
        (Match(destination_ips=(Range("10.1.1.0", 24),)), True),
        (Match(destination_ips=(Range("10.1.2.0", 24),)), False),
        (Match(not_destination_ips=(Range("10.1.1.0", 24),)), False),
        (Match(destination_ports=(80,)), True),
        (Match(destination_ports=(8080, 443)), False),
        (Match(destination_ports=(0,)), False),
        (Match(not_destination_ports=(80,)), False),
        (Match(namespaces=(Text("exact", "shop"),), destination_ports=(443,)), False),
    ],
)
def test_a_match_on_hbone_means_what_the_protocol_says(match: Match, expected: bool) -> None:
    assert judged(match) is expected


def test_a_policy_without_groups_never_matches_and_a_rule_without_matches_always_does() -> None:
    assert authz.matches(Policy("p", "ns", "namespace", "deny")) is False
    assert authz.matches(Policy("p", "ns", "namespace", "deny", (Group((Rule(),)),))) is True


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ([], True),
        ([policy(Match(not_principals=(Text("presence"),)))], False),
        ([policy(Match(not_principals=(Text("presence"),)), dry_run=True)], True),
        ([policy(Match(principals=(Text("presence"),)), action="allow")], False),
        ([policy(Match(namespaces=(Text("prefix", ""),)), action="allow")], True),
        ([policy(Match(not_accounts=(Account("a", "b"),)))], False),
        ([policy(Match(principals=(Text("exact", "x"),)))], True),
        ([Policy("nothing", "ns", "namespace", "allow")], False),
    ],
)
def test_a_peer_without_identity_is_judged_as_the_empty_string(policies: list[Policy], expected: bool) -> None:
    assert plaintext.verdict(policies, POD, strict=False, known=True) is expected


def test_a_strict_or_unknown_pod_refuses_plaintext_whatever_its_policies() -> None:
    assert plaintext.verdict([], POD, strict=True, known=True) is False
    assert plaintext.verdict([], POD, strict=False, known=False) is False


@pytest.mark.parametrize("entry", [True, False, authz.Port(80)])
def test_our_own_ports_are_refused_before_anything_else(entry: authz.Formula) -> None:
    first = plaintext.chain_matcher(entry)["matcher_list"]["matchers"][0]
    ports = {p["single_predicate"]["value_match"]["exact"] for p in first["predicate"]["or_matcher"]["predicate"]}
    assert ports == {str(port) for port in RESERVED_PORTS}
    assert first["on_match"]["action"]["name"] == plaintext.REFUSED


def test_an_unknown_pod_lets_nobody_in() -> None:
    found = rbac.filters("u", [], POD, known=False)
    assert found[names.allow_filter("u")]["rules"] == {"action": "ALLOW", "policies": {}}


def test_a_pod_without_policies_lets_everybody_in() -> None:
    found = rbac.filters("u", [], POD, known=True)
    assert all("rules" not in document for document in found.values())


def test_an_allow_policy_that_never_matches_still_makes_denial_the_default() -> None:
    found = rbac.filters("u", [Policy("none", "ns", "namespace", "allow")], POD, known=True)
    assert found[names.allow_filter("u")]["rules"] == {"action": "ALLOW", "policies": {}}


def test_dry_run_policies_are_shadow_rules_only() -> None:
    match = Match(principals=(Text("presence"),))
    found = rbac.filters("u", [policy(match, dry_run=True)], POD, known=True)[names.deny_filter("u")]
    assert "rules" not in found
    assert list(found["shadow_rules"]["policies"]) == ["ns/p"]
