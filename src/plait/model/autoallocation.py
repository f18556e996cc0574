"""Addresses for the hosts of ServiceEntries that state none: of 240.240.0.0/16, which nobody routes, of 2001:2::/48 in
a mesh of IPv6, of both in one of both. Pure.

Only with an address of its own can a host be told from others at L4. A host keeps the address it has; a new one gets
one that follows from its name, so an entry made anew tends to be where it was. The address is written into the
entry's status, from where the mesh's resolver and every proxy take it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network, ip_address

from plait.base.wellknown import AUTO_ALLOCATE, AUTO_ALLOCATED, AUTO_ALLOCATED6
from plait.resources.networking.service_entry import ServiceEntry, ServiceEntryAddress

Network = IPv4Network | IPv6Network
RANGE, RANGE6 = IPv4Network(AUTO_ALLOCATED), IPv6Network(AUTO_ALLOCATED6)
_LOOKED_UP = ("DNS", "DNS_ROUND_ROBIN")
Key = tuple[str, str]
Given = tuple[ServiceEntryAddress, ...]


class Exhausted(Exception):
    """No address is left; the message names the entry."""


def ranges(looked_up: Iterable[str]) -> tuple[Network, ...]:
    """What to give addresses of where node proxies look these ranges up: one of another range would lead nowhere."""
    known = set(looked_up)
    return tuple(each for each in (RANGE, RANGE6) if str(each) in known) or (RANGE,)


def changes(entries: Iterable[ServiceEntry], networks: Sequence[Network] = (RANGE,)) -> Mapping[Key, Given]:
    """Which entries need another `status.addresses`, and which: for each host one of each range. The oldest of two with
    one address keeps it."""
    ordered = sorted(entries, key=lambda e: (e.meta.creation_timestamp or "", e.namespace, e.name))
    taken: dict[str, tuple[Key, str, Network]] = {}
    for each in ordered:
        for network in networks:
            for host, address in _kept(each, network):
                taken.setdefault(address, ((each.namespace, each.name), host, network))
    held = {owner: address for address, owner in taken.items()}
    found: dict[Key, Given] = {}
    for each in ordered:
        key = each.namespace, each.name
        given = []
        for host, network in ((host, network) for host in hosts(each) for network in networks):
            owner = (key, host, network)
            address = held.get(owner) or _free(f"{each.namespace}/{each.name}/{host}", network, taken)
            taken[address] = owner
            given.append(ServiceEntryAddress(value=address, host=host))
        if tuple(given) != (each.status.addresses if each.status is not None else ()):
            found[key] = tuple(given)
    return found


def hosts(each: ServiceEntry) -> tuple[str, ...]:
    """The hosts that need an address: none is stated, nobody declined, and a proxy knows where to send."""
    spec = each.spec
    declined = each.meta.labels.get(AUTO_ALLOCATE, "").lower() == "false"
    if spec.addresses or declined or spec.resolution not in ("STATIC", *_LOOKED_UP):
        return ()
    endless = spec.resolution in _LOOKED_UP and not spec.endpoints and spec.workload_selector is None
    return tuple(dict.fromkeys(host for host in spec.hosts if not (endless and host.startswith("*"))))


def _kept(each: ServiceEntry, network: Network) -> Iterator[tuple[str, str]]:
    """The first usable address of each host that still needs one."""
    wanted = set(hosts(each))
    for address in each.status.addresses if each.status is not None else ():
        if address.host in wanted and _usable(address.value, network):
            wanted.discard(address.host)
            yield address.host, address.value


def _usable(text: str, network: Network) -> bool:
    try:
        return ip_address(text) in network and str(ip_address(text)) == text
    except ValueError:
        return False


def _free(name: str, network: Network, taken: Mapping[str, object]) -> str:
    size = network.num_addresses - 2
    first = int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) % size
    for step in range(size):
        address = str(network[1 + (first + step) % size])
        if address not in taken:
            return address
    raise Exhausted(f"no address of {network} is left for {name}: state addresses in spec.addresses, or delete entries")
