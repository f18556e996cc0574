"""Would these policies let this connection in, and which policy says so? Evaluation of `Policy` over one flow, pure.

The proxies decide for themselves; this answers for connections that are already open, and to people who ask why.
Semantics are those of `model.policies`: any DENY that matches refuses; with no ALLOW everybody enters; else one must
match. Dry-run policies decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeVar

from msgspec import Struct

from plait.base import spiffe
from plait.model.policies import Account, Match, Policy, Range, Rule, Text

T = TypeVar("T")


class Flow(Struct, frozen=True, gc=False):
    """One connection as its destination sees it. `principal` is a SPIFFE URI; "" is a peer without identity."""

    principal: str
    source: str
    destination: str
    port: int


class Decision(Struct, frozen=True, gc=False):
    """`policy` is the key of the policy that decided; "" where none had to (or where no ALLOW matched)."""

    allowed: bool
    policy: str = ""


def decide(policies: Iterable[Policy], flow: Flow) -> Decision:
    """The verdict of the policies that bind the destination."""
    enforced = [policy for policy in policies if not policy.dry_run]
    for policy in enforced:
        if policy.action == "deny" and matches(policy, flow):
            return Decision(False, policy.key)
    allowing = [policy for policy in enforced if policy.action == "allow"]
    for policy in allowing:
        if matches(policy, flow):
            return Decision(True, policy.key)
    return Decision(not allowing)


def matches(policy: Policy, flow: Flow) -> bool:
    """Groups OR, rules of a group AND."""
    return any(all(_rule(rule, flow) for rule in group.rules) for group in policy.groups)


def _rule(rule: Rule, flow: Flow) -> bool:
    return not rule.matches or any(_match(match, flow) for match in rule.matches)


def _match(match: Match, flow: Flow) -> bool:
    identity = _identity(flow.principal)
    namespace = identity.namespace if identity else ""
    said = [
        *_both(match.namespaces, match.not_namespaces, lambda test: test.holds(namespace)),
        *_both(match.principals, match.not_principals, lambda test: _principal(test, flow.principal)),
        *_both(match.accounts, match.not_accounts, lambda account: _account(account, identity)),
        *_both(match.source_ips, match.not_source_ips, lambda block: _inside(flow.source, block)),
        *_both(match.destination_ips, match.not_destination_ips, lambda block: _inside(flow.destination, block)),
        *_both(match.destination_ports, match.not_destination_ports, lambda port: port == flow.port),
    ]
    return bool(said) and all(said)  # a match that says nothing never matches


def _both(wanted: tuple[T, ...], unwanted: tuple[T, ...], holds: Callable[[T], bool]) -> list[bool]:
    """The verdict of a field and of its negation, each only where it is given."""
    said = [any(map(holds, wanted))] if wanted else []
    return [*said, not any(map(holds, unwanted))] if unwanted else said


def _principal(test: Text, principal: str) -> bool:
    return test.holds(principal.removeprefix("spiffe://"))


def _account(account: Account, identity: spiffe.SpiffeId | None) -> bool:
    return identity is not None and (identity.namespace, identity.service_account) == (account.namespace, account.name)


def _inside(address: str, block: Range) -> bool:
    return ip_address(address) in _network(block)


@lru_cache(4096)
def _network(block: Range) -> IPv4Network | IPv6Network:
    return ip_network(f"{block.address}/{block.length}", strict=False)


@lru_cache(4096)
def _identity(principal: str) -> spiffe.SpiffeId | None:
    try:
        return spiffe.parse(principal)
    except ValueError:
        return None
