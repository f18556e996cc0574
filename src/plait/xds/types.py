"""In which order the server sends types, and how each is to be treated when a name is not there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from plait.base.type_urls import (
    ADDRESS,
    AUTHORIZATION,
    CLUSTER,
    ENDPOINTS,
    EXTENSION,
    LISTENER,
    ROUTES,
    SECRET,
    WORKLOAD,
)


@dataclass(frozen=True, slots=True)
class Rules:
    """How a session treats types.

    `order`: additions go out in it, removals in its reverse; unlisted types follow. Authorizations precede addresses: a
    workload must never be known before the policy it names.
    `declared_absent`: types for which a missing name is said to be removed; for others the answer waits until there is
    one (Envoy 1.40 never asks again for an on-demand cluster that was "removed").
    `grouped`: types where a name brings the members of that group along (a service its workloads).
    `unanswered`: bytes after which a client hears no news until it has answered; what changes meanwhile is one change
    then. Envoy needs a second for a listener of a thousand chains: it would be told twenty more in that time.
    `by_name`: types that have no wildcard, so an empty first request (Envoy sends them on reconnect) asks for nothing.
    """

    order: tuple[str, ...] = (
        CLUSTER,
        ENDPOINTS,
        LISTENER,
        ROUTES,
        EXTENSION,
        SECRET,
        AUTHORIZATION,
        ADDRESS,
        WORKLOAD,
    )
    declared_absent: frozenset[str] = frozenset({ADDRESS, WORKLOAD, AUTHORIZATION})
    by_name: frozenset[str] = frozenset({ENDPOINTS, ROUTES, EXTENSION, SECRET})
    grouped: frozenset[str] = frozenset({ADDRESS})
    unanswered: int = 1 << 20

    def rank(self, type_url: str) -> int:
        return self.order.index(type_url) if type_url in self.order else len(self.order)


DEFAULT: Final = Rules()
