"""L4 authorization on HBONE: policies as two HTTP RBAC filters, DENY then ALLOW, delivered by name (ECDS).

A tunnel's CONNECT is judged before anything is connected. Everything is written as a *principal* (an :authority test is
one too), because RBAC cannot otherwise mix identity and port inside one OR. Dry-run policies become shadow rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Literal

from plait.envoy import authz, names
from plait.envoy.authz import Formula
from plait.envoy.pieces import Doc, any_of
from plait.model.policies import Policy, Text

_RBAC = "envoy.extensions.filters.http.rbac.v3.RBAC"
Peer = Literal["direct_remote_ip", "source_ip"]
_NOBODY: Doc = {"not_id": {"any": True}}


def filters(
    uid: str, policies: Iterable[Policy], addresses: tuple[str, ...], known: bool, peer: Peer = "direct_remote_ip"
) -> dict[str, Doc]:
    """The two named filters of one pod, by name. An unknown pod's policies are unknown too: nobody enters.

    `peer`: by which address of the connection its client is known; `source_ip` is that of a PROXY header, if any.
    """
    every = tuple(policies)
    deny = [policy for policy in every if policy.action == "deny"]
    allow = [policy for policy in every if policy.action == "allow"]
    allow_rules = _rules("ALLOW", allow, addresses, peer, dry_run=False)
    if not known:
        allow_rules = {"action": "ALLOW", "policies": {}}
    return {
        names.deny_filter(uid): _filter(
            _rules("DENY", deny, addresses, peer, dry_run=False),
            _rules("DENY", deny, addresses, peer, dry_run=True),
            "deny",
        ),
        names.allow_filter(uid): _filter(allow_rules, _rules("ALLOW", allow, addresses, peer, dry_run=True), "allow"),
    }


def _filter(rules: Doc | None, shadow: Doc | None, prefix: str) -> Doc:
    document = any_of(_RBAC, rules_stat_prefix=f"{prefix}_", shadow_rules_stat_prefix=f"dry_run_{prefix}_")
    # An absent `rules` lets everybody through; an ALLOW without policies lets nobody.
    if rules is not None:
        document["rules"] = rules
    if shadow is not None:
        document["shadow_rules"] = shadow
    return document


def _rules(
    action: Literal["ALLOW", "DENY"], policies: list[Policy], addresses: tuple[str, ...], peer: Peer, *, dry_run: bool
) -> Doc | None:
    chosen = [policy for policy in policies if policy.dry_run == dry_run]
    if not chosen:
        return None
    written: dict[str, Doc] = {}
    for policy in chosen:
        formula = authz.resolve(authz.matches(policy), authz.at_addresses(addresses))
        if formula is not False:
            written[policy.key] = {"permissions": [{"any": True}], "principals": [principal(formula, addresses, peer)]}
    return {"action": action, "policies": written}


def principal(formula: Formula, addresses: tuple[str, ...], peer: Peer = "direct_remote_ip") -> Doc:
    """One formula as an RBAC principal."""
    match formula:
        case bool():
            return {"any": True} if formula else _NOBODY
        case authz.And(parts):
            return {"and_ids": {"ids": [principal(part, addresses, peer) for part in parts]}}
        case authz.Or(parts):
            return {"or_ids": {"ids": [principal(part, addresses, peer) for part in parts]}}
        case authz.Not(part):
            return {"not_id": principal(part, addresses, peer)}
        case authz.Principal(test):
            return _identity(principal_test(test))
        case authz.Namespace(test):
            return _identity(_regex(f"spiffe://[^/]+/ns/{_label(test)}/sa/[^/]+"))
        case authz.ServiceAccount(account):
            return _identity(_regex(f"spiffe://[^/]+/ns/{re.escape(account.namespace)}/sa/{re.escape(account.name)}"))
        case authz.Source(block):
            return {peer: {"address_prefix": block.address, "prefix_len": block.length}}
        case authz.Port(number):
            return _authority({"suffix": f":{number}"})
        case authz.Target(block):
            network = ip_network(f"{block.address}/{block.length}", strict=False)
            inside = [a for a in addresses if ip_address(a) in network]
            tests = [_authority({"prefix": names.authority(a, 0)[:-1]}) for a in inside]
            return {"or_ids": {"ids": tests}} if tests else _NOBODY
    raise AssertionError(formula)


def principal_test(test: Text) -> Doc:
    """A string matcher for a whole SPIFFE URI, from a test that is meant for the part behind `spiffe://`."""
    match test.how:
        case "exact":
            return {"exact": f"spiffe://{test.value}"}
        case "prefix":
            return {"prefix": f"spiffe://{test.value}"}
        case "suffix":
            return _regex(f"spiffe://.*{re.escape(test.value)}")
        case _:
            return {"prefix": "spiffe://"}


def _label(test: Text) -> str:
    value = re.escape(test.value)
    return {"exact": value, "prefix": f"{value}[^/]*", "suffix": f"[^/]*{value}"}.get(test.how, "[^/]+")


def _identity(matcher: Doc) -> Doc:
    return {"authenticated": {"principal_name": matcher}}


def _regex(text: str) -> Doc:
    return {"safe_regex": {"regex": text}}


def _authority(matcher: Doc) -> Doc:
    return {"header": {"name": ":authority", "string_match": matcher}}
