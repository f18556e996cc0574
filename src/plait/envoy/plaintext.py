"""Who may enter a pod without a tunnel: the filter chain matcher of its plaintext listener.

Envoy's network RBAC filter is never used: it judges the first byte from the client, after the proxy has connected, so a
server-first application's greeting would reach a denied client. A chain is chosen before anything is connected.
Peers here have no identity. Dry-run policies have no effect (a matcher has no shadow).
"""

from __future__ import annotations

from collections.abc import Iterable

from plait.base.wellknown import RESERVED_PORTS
from plait.envoy import authz
from plait.envoy.authz import Formula
from plait.envoy.pieces import Doc, any_of, extension
from plait.model.policies import Policy

ALLOWED, REFUSED = "allowed", "refused"
_INPUTS = "envoy.extensions.matching.common_inputs.network.v3"


def verdict(policies: Iterable[Policy], addresses: tuple[str, ...], *, strict: bool, known: bool) -> Formula:
    """True where a peer without identity may enter."""
    if strict or not known:
        return False
    enforced = [policy for policy in policies if not policy.dry_run]
    deny = authz.disjunction(_plain(p, addresses) for p in enforced if p.action == "deny")
    allowing = [p for p in enforced if p.action == "allow"]
    allow = authz.disjunction(_plain(p, addresses) for p in allowing) if allowing else True
    return authz.conjunction((authz.negation(deny), allow))


def _plain(policy: Policy, addresses: tuple[str, ...]) -> Formula:
    formula = authz.resolve(authz.matches(policy), authz.without_identity)
    return authz.resolve(formula, authz.at_addresses(addresses))


def chain_matcher(entry: Formula) -> Doc:
    """Chooses the chain: our own ports are a loop or a probe for one, and always refused."""
    own = authz.Or(tuple(authz.Port(port) for port in sorted(RESERVED_PORTS)))
    matchers = [_matcher(own, REFUSED)]
    if not isinstance(entry, bool):
        matchers.append(_matcher(entry, ALLOWED))
    return {
        "matcher_list": {"matchers": matchers},
        "on_no_match": _chain(ALLOWED if entry is True else REFUSED),
    }


def _matcher(formula: Formula, chain: str) -> Doc:
    return {"predicate": _predicate(formula), "on_match": _chain(chain)}


def _chain(name: str) -> Doc:
    return {"action": {"name": name, "typed_config": any_of("google.protobuf.StringValue", value=name)}}


def _predicate(formula: Formula) -> Doc:
    match formula:
        case authz.And(parts):
            return {"and_matcher": {"predicate": [_predicate(part) for part in parts]}}
        case authz.Or(parts):
            return {"or_matcher": {"predicate": [_predicate(part) for part in parts]}}
        case authz.Not(part):
            return {"not_matcher": _predicate(part)}
        case authz.Source(block):
            return _in_range("SourceIPInput", block.address, block.length)
        case authz.Target(block):
            return _in_range("DestinationIPInput", block.address, block.length)
        case authz.Port(number):
            port = extension("destination_port", f"{_INPUTS}.DestinationPortInput")
            return {"single_predicate": {"input": port, "value_match": {"exact": str(number)}}}
    raise AssertionError(f"not decided by address and port alone: {formula}")


def _in_range(source: str, address: str, length: int) -> Doc:
    return {
        "single_predicate": {
            "input": extension(source, f"{_INPUTS}.{source}"),
            "custom_match": extension(
                "envoy.matching.matchers.ip",
                "envoy.extensions.matching.input_matchers.ip.v3.Ip",
                cidr_ranges=[{"address_prefix": address, "prefix_len": length}],
                stat_prefix="authz",
            ),
        }
    }
