"""Values of authorization rules, read the same way for L4 and L7: identities, address ranges, ports, accounts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_interface

from plait.base.wellknown import DEFAULT_TRUST_DOMAIN
from plait.model.policies import Account, Range, Text


class Unreadable(Exception):
    """A value no request could match; the message says what to write instead."""


def texts(values: Iterable[str]) -> tuple[Text, ...]:
    return tuple(text(value) for value in values)


def text(value: str) -> Text:
    """One string test. A star at both ends: the first counts, the last is an ordinary sign."""
    if value == "*":
        return Text("presence")
    if value.startswith("*"):
        return Text("suffix", value[1:])
    return Text("prefix", value[:-1]) if value.endswith("*") else Text("exact", value)


def principals(values: Iterable[str], domains: tuple[str, ...]) -> tuple[str, ...]:
    """Identities in every trust domain of the mesh (its own first, then the aliases) where they name one of them.

    `cluster.local` stands for the mesh's own, whatever that is called. Another domain stays as it is written.
    """
    return tuple(dict.fromkeys(found for value in values for found in _everywhere(value, domains)))


def _everywhere(value: str, domains: tuple[str, ...]) -> Iterator[str]:
    domain, *rest = value.split("/")
    if len(rest) != 4 or domain == "*" or not (domain == DEFAULT_TRUST_DOMAIN or _any_of(domain, domains)):
        yield value
        return
    for each in domains:
        kept = domain == each or (domain.startswith("*") and text(domain).holds(each))
        yield value if kept else "/".join((each, *rest))


def _any_of(domain: str, domains: tuple[str, ...]) -> bool:
    return any(text(domain).holds(each) for each in domains)


def trust_domains(values: Iterable[str], domains: tuple[str, ...]) -> tuple[str, ...]:
    """Trust domains, with all of the mesh's where one of them is named."""
    return tuple(dict.fromkeys(found for value in values for found in (domains if value in domains else (value,))))


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
