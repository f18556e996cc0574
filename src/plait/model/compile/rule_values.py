"""Values of authorization rules, read the same way for L4 and L7: address ranges, ports, service accounts."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_interface

from plait.model.policies import Account, Range


class Unreadable(Exception):
    """A value no request could match; the message says what to write instead."""


def ranges(values: Iterable[str]) -> tuple[Range, ...]:
    """As written: what lies outside the prefix is kept, and means nothing."""
    made = []
    for value in values:
        try:
            found = ip_interface(value)
        except ValueError:
            raise Unreadable(f"{value!r} is no IP address or CIDR; write 10.0.0.1 or 10.0.0.0/8") from None
        made.append(Range(str(found.ip), found.network.prefixlen))
    return tuple(made)


def ports(values: Iterable[str]) -> tuple[int, ...]:
    for value in values:
        if not (value.isdigit() and 0 < int(value) < 65536):
            raise Unreadable(f"{value!r} is no port; write a number between 1 and 65535")
    return tuple(int(value) for value in values)


def accounts(values: Iterable[str], namespace: str) -> tuple[Account, ...]:
    """`namespace/name`; `name` alone is one of the policy's own namespace."""
    parted = (value.rpartition("/") for value in values)
    return tuple(Account(found if slash else namespace, name) for found, slash, name in parted)


def true(annotation: str) -> bool:
    """How Go reads it, so that an annotation means here what it means to Istio."""
    return annotation in ("1", "t", "T", "true", "TRUE", "True")
