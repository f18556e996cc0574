"""Gateway and ListenerSet -> the listeners of one gateway: merged, checked, conflicts named, with their conditions.

Own listeners come before those of sets, sets by age and name; of two that exclude each other the earlier one stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from plait.model import hostnames
from plait.model.compile.traffic.credentials import Credentials
from plait.model.compile.traffic.gateway_api.grants import Grants
from plait.model.compile.traffic.gateway_api.listener_tls import GROUP, Owner, secured
from plait.model.gateways import HostScope, Listener, Protocol
from plait.model.status import Condition, ListenerStatus, RouteKind
from plait.resources.gateway_api import gateway as written
from plait.resources.gateway_api.gateway import Gateway, ListenerSet
from plait.resources.kubernetes import Namespace

HBONE_PORT = 15008
_PROTOCOLS: dict[str, tuple[Protocol, tuple[str, ...]]] = {
    "HTTP": ("HTTP", ("HTTPRoute", "GRPCRoute")),
    "HTTPS": ("HTTPS", ("HTTPRoute", "GRPCRoute")),
    "TLS": ("TLS", ("TLSRoute", "TCPRoute")),
    "TCP": ("TCP", ("TCPRoute",)),
    "HBONE": ("HBONE", ("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute")),
    "istio.io/HBONE": ("HBONE", ("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute")),
}


class Open(msgspec.Struct, frozen=True):
    """A listener with what attaching needs. `owner` is the Gateway or ListenerSet that wrote it."""

    listener: Listener
    section: str
    owner: tuple[str, str, str]
    hostname: str
    kinds: tuple[RouteKind, ...]
    allowed: written.AllowedRoutes
    conditions: tuple[Condition, ...]

    def status(self, attached: int) -> ListenerStatus:
        return ListenerStatus(self.section, self.kinds, attached, self.conditions)

    def takes(self, kind: str) -> bool:
        """Whether routes of this kind may attach."""
        return any(each.kind == kind for each in self.kinds)

    def admits(self, namespace: str, namespaces: Mapping[tuple[str, str], Namespace]) -> bool:
        """Whether routes of this namespace may attach."""
        allowed = self.allowed.namespaces
        return chosen(allowed.from_, allowed.selector, self.owner[1], namespace, namespaces)


def chosen(
    word: str,
    selector: object,
    own: str,
    namespace: str,
    namespaces: Mapping[tuple[str, str], Namespace],
) -> bool:
    """All, Same, None, or Selector over the namespace's labels."""
    if word == "Selector":
        labels = dict(namespaces[("", namespace)].meta.labels) if ("", namespace) in namespaces else {}
        labels.setdefault("kubernetes.io/metadata.name", namespace)
        return bool(selector is not None and selector.matches(labels))  # type: ignore[attr-defined]
    return word == "All" or (word == "Same" and own == namespace)


def opened(
    gateway: Gateway,
    sets: Iterable[ListenerSet],
    grants: Grants,
    credentials: Credentials,
    *,
    waypoint: bool = False,
) -> tuple[Open, ...]:
    seen: list[Listener] = []
    frontend = gateway.spec.tls.frontend if gateway.spec.tls is not None else None
    owners = (
        Owner("Gateway", gateway, grants, credentials),
        *(Owner("ListenerSet", s, grants, credentials) for s in sets),
    )
    found = [
        _open(owner, item, frontend, seen, waypoint=waypoint)
        for owner in owners
        for item in owner.written.spec.listeners
    ]
    return tuple(_with_overlaps(each, found) for each in found)


def _open(
    owner: Owner,
    item: written.Listener,
    frontend: written.FrontendTLSConfig | None,
    seen: list[Listener],
    *,
    waypoint: bool,
) -> Open:
    kind, by = owner.kind, owner.written
    section = item.name if kind == "Gateway" else f"{by.namespace}/{by.name}/{item.name}"
    known = _PROTOCOLS.get(item.protocol)
    accepted = Condition("Accepted", "True", "Accepted")
    resolved = Condition("ResolvedRefs", "True", "ResolvedRefs")
    conflicted = Condition("Conflicted", "False", "NoConflicts")
    broken = ""
    protocol: Protocol = "TCP"
    possible: tuple[str, ...] = ()
    if known is None:
        broken = f"protocol {item.protocol} is not supported; use HTTP, HTTPS, TLS, TCP or HBONE"
        accepted = Condition("Accepted", "False", "UnsupportedProtocol", broken)
    else:
        protocol, possible = known
    if protocol == "TLS" and item.tls is not None and item.tls.mode == "Passthrough":
        possible = ("TLSRoute",)
    kinds, unknown = _kinds(item, possible)
    if unknown:
        text = f"routes of kind {', '.join(unknown)} cannot attach to protocol {item.protocol}; remove them"
        resolved = Condition("ResolvedRefs", "False", "InvalidRouteKinds", text)
    if waypoint and known is not None and (protocol != "HBONE" or item.port != HBONE_PORT):
        broken = f"a waypoint serves protocol HBONE on port {HBONE_PORT} only; change the listener or the class"
        accepted = Condition("Accepted", "False", "UnsupportedProtocol", broken)
    tls = secured(owner, item, frontend)
    accepted = accepted if broken else tls.accepted
    resolved = tls.resolved if tls.resolved.status == "False" else resolved
    broken = broken or tls.broken
    listener = Listener(
        section, item.port, protocol, (HostScope((item.hostname or "*").lower()),), "", tls.tls, False, "", broken
    )
    clash = next((why for other in seen if (why := _clash(listener, other))), "") if known is not None else ""
    if clash:
        text = f"another listener of port {item.port} has the same hostname or another protocol; change one of them"
        conflicted = Condition("Conflicted", "True", clash, text)
        accepted = Condition("Accepted", "False", clash, text)
        listener = msgspec.structs.replace(listener, broken=text)
    elif not listener.broken or tls.broken:
        seen.append(listener)
    programmed = Condition("Programmed", "True", "Programmed")
    if listener.broken:
        programmed = Condition("Programmed", "False", clash or "Invalid", listener.broken)
    conditions = (accepted, conflicted, programmed, resolved)
    where = (kind, by.namespace, by.name)
    return Open(listener, section, where, (item.hostname or "").lower(), kinds, item.allowed_routes, conditions)


def _with_overlaps(each: Open, all_: Iterable[Open]) -> Open:
    """Told, as the specification wants, when a client's one connection could mean several listeners' TLS."""
    if not _ends_tls(each):
        return each
    others = [
        other.section
        for other in all_
        if other is not each
        and _ends_tls(other)
        and other.listener.port == each.listener.port
        and hostnames.meet(each.hostname, other.hostname) is not None
    ]
    if not others:
        return each
    text = f"the hostnames of {', '.join(others)} overlap: clients may use one connection for both, with either's TLS"
    overlap = Condition("OverlappingTLSConfig", "True", "OverlappingHostnames", text)
    return msgspec.structs.replace(each, conditions=(*each.conditions, overlap))


def _ends_tls(each: Open) -> bool:
    tls = each.listener.tls
    return tls is not None and not each.listener.broken and "passthrough" not in tls.mode


def _clash(one: Listener, other: Listener) -> str:
    if one.port != other.port:
        return ""
    if _family(one) != _family(other):
        return "ProtocolConflict"
    return "HostnameConflict" if one.hosts == other.hosts else ""


def _family(listener: Listener) -> str:
    return "tls" if listener.protocol in ("HTTPS", "TLS") else listener.protocol


def _kinds(item: written.Listener, possible: tuple[str, ...]) -> tuple[tuple[RouteKind, ...], list[str]]:
    if not item.allowed_routes.kinds:
        return tuple(RouteKind(GROUP, kind) for kind in possible), []
    good, bad = [], []
    for each in item.allowed_routes.kinds:
        if each.group == GROUP and each.kind in possible:
            good.append(RouteKind(GROUP, each.kind))
        else:
            bad.append(each.kind)
    return tuple(good), bad
