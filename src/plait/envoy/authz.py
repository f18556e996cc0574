"""What does a policy say, as a formula over identity, source address, and destination: before any Envoy form of it.

The HBONE form (`rbac`) and the plaintext form (`plaintext`) render the same formula, so both doors of a pod decide
alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from plait.model.policies import Account, Group, Match, Policy, Range, Rule, Text


@dataclass(frozen=True, slots=True)
class Principal:
    """The peer's SPIFFE id without its scheme passes the test."""

    test: Text


@dataclass(frozen=True, slots=True)
class Namespace:
    test: Text


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    account: Account


@dataclass(frozen=True, slots=True)
class Source:
    """The peer's address lies in the range."""

    range: Range


@dataclass(frozen=True, slots=True)
class Target:
    """The address of the pod that was meant lies in the range."""

    range: Range


@dataclass(frozen=True, slots=True)
class Port:
    number: int


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Formula


Atom = Principal | Namespace | ServiceAccount | Source | Target | Port
Formula = bool | Atom | And | Or | Not


def conjunction(parts: Iterable[Formula]) -> Formula:
    kept = tuple(part for part in parts if part is not True)
    if any(part is False for part in kept):
        return False
    return kept[0] if len(kept) == 1 else And(kept) if kept else True


def disjunction(parts: Iterable[Formula]) -> Formula:
    kept = tuple(part for part in parts if part is not False)
    if any(part is True for part in kept):
        return True
    return kept[0] if len(kept) == 1 else Or(kept) if kept else False


def negation(part: Formula) -> Formula:
    if isinstance(part, bool):
        return not part
    return part.part if isinstance(part, Not) else Not(part)


def matches(policy: Policy) -> Formula:
    """True exactly for the connections this policy matches."""
    return disjunction(_group(group) for group in policy.groups)


def _group(group: Group) -> Formula:
    return conjunction(_rule(rule) for rule in group.rules)


def _rule(rule: Rule) -> Formula:
    return disjunction(_match(match) for match in rule.matches) if rule.matches else True


def _match(match: Match) -> Formula:
    fields: list[tuple[tuple[Formula, ...], bool]] = [
        (tuple(Namespace(test) for test in match.namespaces), True),
        (tuple(Namespace(test) for test in match.not_namespaces), False),
        (tuple(Principal(test) for test in match.principals), True),
        (tuple(Principal(test) for test in match.not_principals), False),
        (tuple(ServiceAccount(account) for account in match.accounts), True),
        (tuple(ServiceAccount(account) for account in match.not_accounts), False),
        (tuple(Source(block) for block in match.source_ips), True),
        (tuple(Source(block) for block in match.not_source_ips), False),
        (tuple(Target(block) for block in match.destination_ips), True),
        (tuple(Target(block) for block in match.not_destination_ips), False),
        (tuple(Port(port) for port in match.destination_ports), True),
        (tuple(Port(port) for port in match.not_destination_ports), False),
    ]
    said = [disjunction(values) if wanted else negation(disjunction(values)) for values, wanted in fields if values]
    return conjunction(said) if said else False  # a match that says nothing never matches


def resolve(formula: Formula, known: Callable[[Atom], Formula]) -> Formula:
    """The formula with every atom replaced by what `known` says of it, simplified."""
    if isinstance(formula, bool):
        return formula
    if isinstance(formula, And):
        return conjunction(resolve(part, known) for part in formula.parts)
    if isinstance(formula, Or):
        return disjunction(resolve(part, known) for part in formula.parts)
    if isinstance(formula, Not):
        return negation(resolve(formula.part, known))
    return known(formula)


def without_identity(atom: Atom) -> Formula:
    """What an atom says of a peer that showed no certificate: identity compares as the empty string."""
    if isinstance(atom, Principal | Namespace):
        return atom.test.holds("")
    return False if isinstance(atom, ServiceAccount) else atom


def at_addresses(addresses: tuple[str, ...]) -> Callable[[Atom], Formula]:
    """Decides `Target` atoms for a pod all of whose addresses agree; leaves the rest."""
    from ipaddress import ip_address, ip_network

    def known(atom: Atom) -> Formula:
        if not isinstance(atom, Target):
            return atom
        block = ip_network(f"{atom.range.address}/{atom.range.length}", strict=False)
        inside = {ip_address(address) in block for address in addresses}
        return inside.pop() if len(inside) == 1 else atom

    return known
