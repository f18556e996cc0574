"""What is not TCP knows no tunnel: may it enter a pod? As plaintext does, by what the pod's peers must present. Pure.

Only what says "no peer without an identity" counts (PeerAuthentication STRICT, for all ports or some), whichever
protocol a port number belongs to. Other rules of authorization policies are about connections.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from msgspec import Struct, structs

from plait.model.policies import Group, Match, Policy, Text

_NO_IDENTITY = (Text("presence"),)


class Datagrams(Struct, frozen=True, gc=False):
    """Refused on every port but `ports`, or passing on every port but them. Protocols without ports: `refused`."""

    refused: bool = False
    ports: tuple[int, ...] = ()


OPEN, CLOSED = Datagrams(), Datagrams(refused=True)


def admitted(policies: Iterable[Policy], *, known: bool) -> Datagrams:
    """The verdict of the policies that bind a pod; of a pod that is not described yet nothing is known: closed."""
    if not known:
        return CLOSED
    enforced = (policy for policy in policies if policy.action == "deny" and not policy.dry_run)
    refusing = (found for policy in enforced for group in policy.groups if (found := _refused(group)) is not None)
    return reduce(_either, refusing, OPEN)


def _refused(group: Group) -> Datagrams | None:
    """Where a group refuses that says "no peer without an identity" and nothing else but ports; None for others."""
    if any(len(rule.matches) != 1 for rule in group.rules):
        return None
    matches = [rule.matches[0] for rule in group.rules]
    if not any(match.not_principals == _NO_IDENTITY for match in matches):
        return None
    found = CLOSED
    for match in matches:
        only, but = match.destination_ports, match.not_destination_ports
        ports = Match(destination_ports=only, not_destination_ports=but)
        if match == Match() or match not in (ports, structs.replace(ports, not_principals=_NO_IDENTITY)):
            return None
        found = _both(found, Datagrams(True, but))
        if only:
            found = _both(found, Datagrams(False, only))
    return found


def _both(one: Datagrams, other: Datagrams) -> Datagrams:
    """Refused where both refuse."""
    if one.refused and other.refused:
        return Datagrams(True, _sorted({*one.ports, *other.ports}))
    if one.refused:
        one, other = other, one
    kept = set(one.ports) - set(other.ports) if other.refused else set(one.ports) & set(other.ports)
    return Datagrams(False, _sorted(kept))


def _either(one: Datagrams, other: Datagrams) -> Datagrams:
    """Refused where one of them refuses."""
    return _turned(_both(_turned(one), _turned(other)))


def _turned(each: Datagrams) -> Datagrams:
    return Datagrams(not each.refused, each.ports)


def _sorted(ports: set[int]) -> tuple[int, ...]:
    return tuple(sorted(ports))
