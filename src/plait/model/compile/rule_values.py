"""Values of authorization rules, read the same way for L4 and L7: address ranges, ports, service accounts."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

from plait.model.policies import Account, Range


class Unreadable(Exception):
    """A value no request could match; the message says what to write instead."""


def ranges(values: Iterable[str]) -> tuple[Range, ...]:
    made = []
    for value in values:
        try:
            network = ip_network(value, strict=False)
        except ValueError:
            raise Unreadable(f"{value!r} is no IP address or CIDR; write 10.0.0.1 or 10.0.0.0/8") from None
        made.append(Range(str(network.network_address), network.prefixlen))
    return tuple(made)


def ports(values: Iterable[str]) -> tuple[int, ...]:
    for value in values:
        if not (value.isdigit() and 0 < int(value) < 65536):
            raise Unreadable(f"{value!r} is no port; write a number between 1 and 65535")
    return tuple(int(value) for value in values)


def accounts(values: Iterable[str]) -> tuple[Account, ...]:
    """`namespace/name`, or `name` alone."""
    return tuple(Account(namespace, name) for namespace, _, name in (value.rpartition("/") for value in values))
