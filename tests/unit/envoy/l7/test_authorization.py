"""What Envoy's RBAC filters are told: which of a rule's attributes, in which form, in which order."""

from __future__ import annotations

from typing import Any

import pytest
import re2

from plait.envoy.l7 import authorization
from plait.model.attachment import Attachment
from plait.model.http_security import Condition, HttpPolicy, HttpRule, Operation, Source
from plait.model.policies import Range, Text

OFFICE = (Range("172.18.4.0", 22),)


def policy(action: str, *rules: HttpRule, name: str = "p") -> HttpPolicy:
    return HttpPolicy(name, "shop", action, Attachment("shop"), rules)  # type: ignore[arg-type]


def told(*rules: HttpRule, action: str = "allow", http: bool = True) -> dict[str, Any]:
    found = authorization.rules([policy(action, *rules)], action.upper(), "tls", http=http)["policies"]
    assert isinstance(found, dict)
    return found


def only(*rules: HttpRule, action: str = "allow", http: bool = True) -> dict[str, Any]:
    (found,) = told(*rules, action=action, http=http).values()
    assert isinstance(found, dict)
    return found


def test_audit_sees_what_the_policies_after_it_refuse() -> None:
    policies = [policy(action, HttpRule(), name=action) for action in ("allow", "deny", "audit")]
    rules = [each["typed_config"]["rules"]["action"] for each in authorization.filters(policies, "tls")]
    assert rules == ["LOG", "DENY", "ALLOW"]


def test_the_original_client_is_asked_for_on_connections_too() -> None:
    rule = HttpRule(sources=(Source(remote_ips=OFFICE),))
    block = {"remote_ip": {"address_prefix": "172.18.4.0", "prefix_len": 22}}
    assert only(rule, http=False)["principals"] == [block]
    condition = HttpRule(conditions=(Condition("remote.ip", not_ranges=OFFICE),))
    assert only(condition, action="deny", http=False)["principals"][0]["and_ids"]["ids"][1] == {"not_id": block}


def test_a_network_filters_metadata_is_asked_for_on_connections_too() -> None:
    condition = Condition("filter", "envoy.filters.network.x", ("k",), texts=(Text("exact", "v"),))
    metadata = only(HttpRule(conditions=(condition,)), http=False)["principals"][0]["and_ids"]["ids"][1]["metadata"]
    assert metadata["filter"] == "envoy.filters.network.x"
    assert metadata["value"] == {"string_match": {"exact": "v"}}


def test_anybody_with_a_certificate_is_also_one_without_a_spiffe_name() -> None:
    """A gateway that asks clients for certificates takes those of other authorities, by their DNS name or subject."""
    (found,) = only(HttpRule(sources=(Source(principals=(Text("presence"),)),)))["principals"]
    matcher = found["authenticated"]["principal_name"]["safe_regex"]["regex"]
    assert re2.fullmatch(matcher, "client.example.com") and not re2.fullmatch(matcher, "")


def test_a_star_inside_a_namespace_stands_for_anything() -> None:
    (found,) = only(HttpRule(sources=(Source(namespaces=(Text("exact", "a*c"), Text("prefix", "x*y"))),)))["principals"]
    matchers = [each["authenticated"]["principal_name"]["safe_regex"]["regex"] for each in found["or_ids"]["ids"]]
    held = [
        [bool(re2.fullmatch(m, f"spiffe://td/ns/{ns}/sa/s")) for ns in ("abc", "a*c", "xy1", "ab")] for m in matchers
    ]
    assert held == [[True, True, False, False], [False, False, True, False]]


@pytest.mark.parametrize(("action", "entries"), [("allow", 0), ("deny", 1)])
def test_of_a_connection_a_rule_about_requests_allows_nobody_and_denies_everybody(action: str, entries: int) -> None:
    found = told(HttpRule(operations=(Operation(methods=(Text("exact", "GET"),)),)), action=action, http=False)
    assert len(found) == entries
    assert all(each == {"permissions": [{"any": True}], "principals": [{"any": True}]} for each in found.values())


def test_a_token_is_asked_for_issuer_and_subject() -> None:
    rule = HttpRule(sources=(Source(request_principals=(Text("prefix", "https://a/"),)),))
    issuer, subject = (each["metadata"] for each in only(rule)["principals"][0]["and_ids"]["ids"])
    assert (issuer["path"][-1], issuer["value"]) == ({"key": "iss"}, {"string_match": {"exact": "https://a"}})
    assert (subject["path"][-1], subject["value"]) == (
        {"key": "sub"},
        {"string_match": {"safe_regex": {"regex": "(?s).+"}}},
    )


@pytest.mark.parametrize(
    ("test", "held", "not_held"),
    [
        (Text("exact", "b.c"), ["b.c", "a,b.c", "b.c,d", "a,b.c,d", "a, b.c\t,d"], ["bxc", "ab.c", "a, b c"]),
        (Text("prefix", "b"), ["bc", "a,bc", "b,a"], ["ab", "a,cb"]),
        (Text("suffix", "b"), ["cb", "a,cb,d"], ["bc", "a,bc"]),
    ],
)
def test_one_of_a_headers_values_is_enough(test: Text, held: list[str], not_held: list[str]) -> None:
    rule = HttpRule(conditions=(Condition("header.item", "x-roles", texts=(test,)),))
    header = only(rule)["principals"][0]["and_ids"]["ids"][1]["header"]
    regex = header["string_match"]["safe_regex"]["regex"]
    assert header["name"] == "x-roles"
    assert [value for value in (*held, *not_held) if re2.fullmatch(regex, value)] == held
