"""Gateway and ListenerSet -> the listeners of one gateway: merged, checked, conflicts named, with their conditions.

Own listeners come before those of sets, sets by age and name; of two that exclude each other the earlier one stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from plait.model.compile.traffic.credentials import Credentials
from plait.model.compile.traffic.gateway_api.grants import Grants
from plait.model.gateways import Certificate, HostScope, Listener, Protocol, ServerTls
from plait.model.status import Condition, ListenerStatus, RouteKind
from plait.resources.gateway_api import gateway as written
from plait.resources.gateway_api.gateway import Gateway, ListenerSet
from plait.resources.gateway_api.shared import SecretObjectReference
from plait.resources.kubernetes import Namespace

GROUP = "gateway.networking.k8s.io"
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

    def takes(self, namespace: str, kind: str, namespaces: Mapping[tuple[str, str], Namespace]) -> bool:
        """Whether routes of this kind and namespace may attach."""
        return any(k.kind == kind for k in self.kinds) and chosen(
            self.allowed.namespaces.from_, self.allowed.namespaces.selector, self.owner[1], namespace, namespaces
        )


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
) -> Iterator[Open]:
    seen: list[Listener] = []
    frontend = gateway.spec.tls.frontend if gateway.spec.tls is not None else None
    for kind, owner in (("Gateway", gateway), *(("ListenerSet", each) for each in sets)):
        for item in owner.spec.listeners:  # type: ignore[attr-defined]
            yield _open(kind, owner, item, frontend, seen, grants, credentials)  # type: ignore[arg-type]


def _open(
    kind: str,
    owner: Gateway | ListenerSet,
    item: written.Listener,
    frontend: written.FrontendTLSConfig | None,
    seen: list[Listener],
    grants: Grants,
    credentials: Credentials,
) -> Open:
    section = item.name if kind == "Gateway" else f"{owner.namespace}/{owner.name}/{item.name}"
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
    tls, why, reason = _tls(kind, owner, item, frontend, grants, credentials)
    if why:
        resolved = Condition("ResolvedRefs", "False", reason, why)
        broken = broken or why
    listener = Listener(
        section, item.port, protocol, (HostScope((item.hostname or "*").lower()),), "", tls, False, "", broken
    )
    clash = next((_clash(listener, other) for other in seen if _clash(listener, other)), "")
    if clash:
        text = f"another listener of port {item.port} has the same hostname or another protocol; change one of them"
        conflicted = Condition("Conflicted", "True", clash, text)
        accepted = Condition("Accepted", "False", clash, text)
        listener = msgspec.structs.replace(listener, broken=text)
    elif not listener.broken or why:
        seen.append(listener)
    good = not listener.broken
    programmed = Condition("Programmed", "True" if good else "False", "Programmed" if good else clash or "Invalid")
    conditions = (accepted, conflicted, programmed, resolved)
    where = (kind, owner.namespace, owner.name)
    return Open(listener, section, where, (item.hostname or "").lower(), kinds, item.allowed_routes, conditions)


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


def _tls(
    kind: str,
    owner: Gateway | ListenerSet,
    item: written.Listener,
    frontend: written.FrontendTLSConfig | None,
    grants: Grants,
    credentials: Credentials,
) -> tuple[ServerTls | None, str, str]:
    """TLS of the listener; why it cannot be, and the condition's reason."""
    if item.protocol not in ("HTTPS", "TLS") or item.tls is None:
        needs = item.protocol in ("HTTPS", "TLS")
        return None, "tls is missing; add it" if needs else "", "InvalidCertificateRef"
    if item.tls.mode == "Passthrough":
        return ServerTls("passthrough"), "", ""
    why, reason = "", ""
    certificates = []
    for ref in item.tls.certificate_refs:
        name = f"{ref.namespace or owner.namespace}/{ref.name}"
        why, reason = _secret(kind, owner, ref, name, grants, credentials)
        if why:
            break
        certificates.append(Certificate(name))
    if not certificates and not why:
        why, reason = "there is no certificate; add certificateRefs", "InvalidCertificateRef"
    asked = None
    if frontend is not None:
        special = next((each.tls for each in frontend.per_port if each.port == item.port), frontend.default)
        asked = special.validation
    if asked is None:
        return ServerTls("simple", tuple(certificates)), why, reason
    roots = []
    for root in asked.ca_certificate_refs:
        prefix = "configmap:" if root.kind == "ConfigMap" else ""
        name = f"{prefix}{root.namespace or owner.namespace}/{root.name}"
        to = (root.group, root.kind, root.namespace or owner.namespace)
        if not grants.permits((GROUP, kind, owner.namespace), to, root.name):
            why, reason = f"no ReferenceGrant allows {kind}s to name {root.kind} {name}; create one", "RefNotPermitted"
        elif wrong := credentials.roots(name):
            why, reason = wrong, "InvalidCACertificateRef"
        else:
            roots.append(name)
    insecure = asked.mode == "AllowInsecureFallback"
    tls = ServerTls(
        "optional_mutual" if insecure else "mutual",
        tuple(certificates),
        roots[0] if roots else "",
        client_roots_more=tuple(roots[1:]),
        insecure=insecure,
    )
    return tls, why, reason


def client_certificate(each: Gateway, grants: Grants, credentials: Credentials) -> tuple[str, Condition | None]:
    """What the gateway shows to backends that a BackendTLSPolicy is about ("ns/name"), or why it shows nothing."""
    backend = each.spec.tls.backend if each.spec.tls is not None else None
    ref = backend.client_certificate_ref if backend is not None else None
    if ref is None:
        return "", None
    name = f"{ref.namespace or each.namespace}/{ref.name}"
    why, reason = _secret("Gateway", each, ref, name, grants, credentials)
    if not why:
        return name, None
    reason = "InvalidClientCertificateRef" if reason == "InvalidCertificateRef" else reason
    return "", Condition("ResolvedRefs", "False", reason, f"{why}; no certificate is shown to backends")


def _secret(
    kind: str,
    owner: Gateway | ListenerSet,
    ref: SecretObjectReference,
    name: str,
    grants: Grants,
    credentials: Credentials,
) -> tuple[str, str]:
    if ref.group not in ("", "core") or ref.kind != "Secret":
        return f"{ref.kind} cannot be a certificate; name a Secret", "InvalidCertificateRef"
    to = ("", "Secret", ref.namespace or owner.namespace)
    if not grants.permits((GROUP, kind, owner.namespace), to, ref.name):
        return f"no ReferenceGrant allows {kind}s of {owner.namespace} to name Secret {name}", "RefNotPermitted"
    why = credentials.certificate(name)
    return why, "InvalidCertificateRef" if why else ""
