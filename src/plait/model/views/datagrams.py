"""What is not TCP knows no tunnel: may it enter a pod? As plaintext does, by what the pod's peers must present. Pure.

Only what says "no peer without an identity" counts (PeerAuthentication STRICT, for all ports or some), whichever
protocol a port number belongs to. Other rules of authorization policies are about connections.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from plait.model.policies import Group, Match, Policy, Text

_NO_IDENTITY = Match(not_principals=(Text("presence"),))


class Datagrams(Struct, frozen=True, gc=False):
    """Refused on every port but `ports`, or passing on every port but them. Protocols without ports: `refused`."""

    refused: bool = False
    ports: tuple[int, ...] = ()


OPEN, CLOSED = Datagrams(), Datagrams(refused=True)


def admitted(policies: Iterable[Policy], *, known: bool) -> Datagrams:
    """The verdict of the policies that bind a pod; of a pod that is not described yet nothing is known: closed."""
    if not known:
        return CLOSED
    refused: set[int] = set()
    spared: set[int] | None = None
    for policy in policies:
        if policy.action != "deny" or policy.dry_run:
            continue
        for match in filter(None, map(_ports, policy.groups)):
            if match.destination_ports:
                refused |= set(match.destination_ports)
            else:
                spared = set(match.not_destination_ports) & (spared if spared is not None else set(range(65536)))
    if spared is not None:
        return Datagrams(True, tuple(sorted(spared - refused)))
    return Datagrams(False, tuple(sorted(refused)))


def _ports(group: Group) -> Match | None:
    """The ports of a group that says "no peer without an identity" and nothing else but ports; None for others."""
    if not group.rules or group.rules[0].matches != (_NO_IDENTITY,) or len(group.rules) > 2:
        return None
    if len(group.rules) == 1:
        return Match()
    if len(group.rules[1].matches) != 1:
        return None
    (ports,) = group.rules[1].matches
    only = Match(destination_ports=ports.destination_ports, not_destination_ports=ports.not_destination_ports)
    both = ports.destination_ports and ports.not_destination_ports
    return ports if ports == only and ports != Match() and not both else None
