"""Status as data: what a status writer should say on Gateway API objects, and on Istio's.

No times, generations or controller names: the writer knows those. Equal statuses mean nothing has to be written.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

State = Literal["True", "False", "Unknown"]


class Condition(Struct, frozen=True, gc=False):
    type: str
    status: State
    reason: str
    message: str = ""


class ParentReference(Struct, frozen=True, gc=False):
    """The parent exactly as the route wrote it (None: not written), because the status must repeat it."""

    group: str
    kind: str
    name: str
    namespace: str | None = None
    section_name: str | None = None
    port: int | None = None


class ParentStatus(Struct, frozen=True, gc=False):
    parent: ParentReference
    conditions: tuple[Condition, ...]


class RouteStatus(Struct, frozen=True, gc=False):
    """Of a route by parent, or of a policy by ancestor (BackendTLSPolicy)."""

    parents: tuple[ParentStatus, ...]


class RouteKind(Struct, frozen=True, gc=False):
    group: str
    kind: str


class ListenerStatus(Struct, frozen=True, gc=False):
    name: str
    supported_kinds: tuple[RouteKind, ...]
    attached_routes: int
    conditions: tuple[Condition, ...]


class GatewayStatus(Struct, frozen=True, gc=False):
    """Of a Gateway or ListenerSet. Addresses, and Programmed as measured, are added by who runs the proxies."""

    conditions: tuple[Condition, ...]
    listeners: tuple[ListenerStatus, ...] = ()
    attached_listener_sets: int | None = None


class ClassStatus(Struct, frozen=True, gc=False):
    conditions: tuple[Condition, ...]
    features: tuple[str, ...] = ()


class Message(Struct, frozen=True, gc=False):
    """What analysis found, by code."""

    code: str
    level: Literal["error", "warning", "info"]


class BoundStatus(Struct, frozen=True, gc=False):
    """Conditions of an Istio object, or of a service bound to a waypoint, and what analysis found with it."""

    conditions: tuple[Condition, ...]
    messages: tuple[Message, ...] = ()


Status = RouteStatus | GatewayStatus | ClassStatus | BoundStatus
