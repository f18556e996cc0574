"""What the L4 enforcement point decides with: one noun per part of `istio.security.Authorization`.

Groups OR; rules of a group AND; matches of a rule OR; fields of a match AND; values of a field OR; `not_…` negates.
An empty match never matches, a rule without matches is true, a policy without groups never matches. A missing
identity compares as the empty string, so `not_principals: presence` means "plaintext peer".
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from plait.model.extension import Extension

Reach = Literal["mesh", "namespace", "workload"]
Action = Literal["allow", "deny"]


class Text(Struct, frozen=True, gc=False):
    """One string test. `presence` is true for any non-empty string."""

    how: Literal["exact", "prefix", "suffix", "presence"]
    value: str = ""

    def holds(self, text: str) -> bool:
        match self.how:
            case "exact":
                return text == self.value
            case "prefix":
                return text.startswith(self.value)
            case "suffix":
                return text.endswith(self.value)
            case _:
                return text != ""


class Range(Struct, frozen=True, gc=False):
    """An address range: `address` and prefix `length`."""

    address: str
    length: int


class Account(Struct, frozen=True, gc=False):
    """A service account; unlike principals it is independent of the trust domain."""

    namespace: str
    name: str


class Match(Struct, frozen=True, gc=False):
    """All given fields must hold; an empty one says nothing."""

    namespaces: tuple[Text, ...] = ()
    not_namespaces: tuple[Text, ...] = ()
    principals: tuple[Text, ...] = ()
    not_principals: tuple[Text, ...] = ()
    source_ips: tuple[Range, ...] = ()
    not_source_ips: tuple[Range, ...] = ()
    destination_ips: tuple[Range, ...] = ()
    not_destination_ips: tuple[Range, ...] = ()
    destination_ports: tuple[int, ...] = ()
    not_destination_ports: tuple[int, ...] = ()
    accounts: tuple[Account, ...] = ()
    not_accounts: tuple[Account, ...] = ()
    extensions: tuple[Extension, ...] = ()


class Rule(Struct, frozen=True, gc=False):
    """One clause: true when any match is (or when there is none)."""

    matches: tuple[Match, ...] = ()


class Group(Struct, frozen=True, gc=False):
    """Clauses that must all be true."""

    rules: tuple[Rule, ...] = ()


class Policy(Struct, frozen=True, gc=False):
    """One authorization policy as the node proxy enforces it. `key` is its resource name."""

    name: str
    namespace: str
    scope: Reach
    action: Action
    groups: tuple[Group, ...] = ()
    dry_run: bool = False
    extensions: tuple[Extension, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"
