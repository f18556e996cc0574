"""TLS of a listener -> ServerTls: its own `tls` with Istio's options, and the Gateway's validation of clients.

What is wrong breaks this listener only, and says so in the words of the specification.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from plait.model.compile.traffic import ciphers
from plait.model.compile.traffic.credentials import Credentials
from plait.model.compile.traffic.gateway_api.grants import Grants
from plait.model.gateways import Certificate, ServerTls
from plait.model.status import Condition
from plait.resources.gateway_api.gateway import (
    FrontendTLSConfig,
    FrontendTLSValidation,
    Gateway,
    Listener,
    ListenerSet,
    ListenerTLSConfig,
)
from plait.resources.gateway_api.shared import ObjectReference, SecretObjectReference

GROUP = "gateway.networking.k8s.io"
TERMINATE_MODE = "gateway.istio.io/tls-terminate-mode"
CIPHERS = "gateway.istio.io/tls-cipher-suites"
PROTOCOL = "gateway.istio.io/listener-protocol"
ACCEPTED = Condition("Accepted", "True", "Accepted")
RESOLVED = Condition("ResolvedRefs", "True", "ResolvedRefs")
_WORKLOAD = {"ISTIO_MUTUAL": "istio_mutual", "ISTIO_SIMPLE": "istio_simple"}
"""Modes that show the proxy's own certificate of the mesh."""
_MODES = ("SIMPLE", "MUTUAL", *_WORKLOAD)


class Secured(NamedTuple):
    """TLS of a listener. `broken` says why it serves nothing; the conditions are worth saying in any case."""

    tls: ServerTls | None = None
    broken: str = ""
    accepted: Condition = ACCEPTED
    resolved: Condition = RESOLVED


class Owner(NamedTuple):
    """Who wrote a listener, and what its references may reach."""

    kind: str
    written: Gateway | ListenerSet
    grants: Grants
    credentials: Credentials

    def permits(self, ref: SecretObjectReference | ObjectReference) -> bool:
        group = "" if ref.group == "core" else ref.group
        to = (group, ref.kind, ref.namespace or self.written.namespace)
        return self.grants.permits((GROUP, self.kind, self.written.namespace), to, ref.name)

    def name(self, ref: SecretObjectReference | ObjectReference) -> str:
        return f"{ref.namespace or self.written.namespace}/{ref.name}"


def secured(owner: Owner, item: Listener, frontend: FrontendTLSConfig | None) -> Secured:
    """`frontend`: how the Gateway wants clients' certificates checked."""
    if item.protocol not in ("HTTPS", "TLS"):
        return Secured()
    if item.tls is None:
        text = f"protocol {item.protocol} needs tls; add it"
        return Secured(None, text, accepted=Condition("Accepted", "False", "UnsupportedProtocol", text))
    if item.tls.mode == "Passthrough":
        auto = item.tls.options.get(PROTOCOL) == "auto-passthrough"
        return Secured(ServerTls("auto_passthrough" if auto else "passthrough"))
    suites, _ = ciphers.sorted_out(item.tls.options.get(CIPHERS, "").split(","))
    mode = item.tls.options.get(TERMINATE_MODE, "")
    if mode in _WORKLOAD:
        return Secured(ServerTls(_WORKLOAD[mode], ciphers=suites))  # type: ignore[arg-type]
    found = _served(owner, item.tls, mode == "MUTUAL")
    if found.tls is None:
        return found
    found = found._replace(tls=msgspec.structs.replace(found.tls, ciphers=suites))
    asked = _validation(item.port, frontend)
    return _validated(owner, found, asked) if asked is not None else found


def options_wrong(item: Listener) -> list[tuple[str, str]]:
    """(option, sentence) of every one that has no effect here."""
    options = item.tls.options if item.tls is not None else {}
    found = [(each, "") for each in options if each not in (TERMINATE_MODE, CIPHERS, PROTOCOL)]
    if (mode := options.get(TERMINATE_MODE)) is not None and mode not in _MODES:
        found.append((TERMINATE_MODE, f"{mode} is no mode; write one of {', '.join(_MODES)}"))
    if (protocol := options.get(PROTOCOL)) is not None and protocol != "auto-passthrough":
        found.append((PROTOCOL, f"{protocol} is not known; write auto-passthrough"))
    _, unknown = ciphers.sorted_out(options.get(CIPHERS, "").split(","))
    if unknown:
        found.append((CIPHERS, f"{', '.join(unknown)} is not known here and left out; write Envoy's names of suites"))
    return found


def _served(owner: Owner, tls: ListenerTLSConfig, mutual: bool) -> Secured:
    """The certificates of the listener; a `mutual` one's first Secret holds the roots of its clients too."""
    certificates = []
    for ref in tls.certificate_refs:
        why, reason = certificate(owner, ref)
        if why:
            return Secured(None, why, resolved=Condition("ResolvedRefs", "False", reason, why))
        certificates.append(Certificate(owner.name(ref)))
    why = "" if certificates else "there is no certificate; add certificateRefs"
    if certificates and mutual:
        why = _own_roots(certificates[0].secret, owner.credentials)
    if why:
        return Secured(None, why, resolved=Condition("ResolvedRefs", "False", "InvalidCertificateRef", why))
    if mutual:
        return Secured(ServerTls("mutual", tuple(certificates), certificates[0].secret))
    return Secured(ServerTls("simple", tuple(certificates)))


def _own_roots(secret: str, credentials: Credentials) -> str:
    """Why neither the Secret nor the one beside it (`NAME-cacert`) has roots; "" when one does."""
    why = credentials.roots(secret)
    return why if why and credentials.roots(f"{secret}-cacert") else ""


def _validation(port: int, frontend: FrontendTLSConfig | None) -> FrontendTLSValidation | None:
    if frontend is None:
        return None
    return next((each.tls for each in frontend.per_port if each.port == port), frontend.default).validation


def _validated(owner: Owner, found: Secured, asked: FrontendTLSValidation) -> Secured:
    """With clients' certificates checked. The roots that can be used are; without any, nobody gets in."""
    assert found.tls is not None
    roots, resolved = [], RESOLVED
    for ref in asked.ca_certificate_refs:
        name, why, reason = _roots(owner, ref)
        if why:
            resolved = Condition("ResolvedRefs", "False", reason, why) if resolved is RESOLVED else resolved
        else:
            roots.append(name)
    if not roots:
        accepted = Condition("Accepted", "False", "NoValidCACertificate", resolved.message)
        return Secured(None, resolved.message, accepted, resolved)
    insecure = asked.mode == "AllowInsecureFallback"
    tls = msgspec.structs.replace(
        found.tls,
        mode="optional_mutual" if insecure else "mutual",
        client_roots_secret=roots[0],
        client_roots_more=tuple(roots[1:]),
        insecure=insecure,
    )
    return Secured(tls, resolved=resolved)


def _roots(owner: Owner, ref: ObjectReference) -> tuple[str, str, str]:
    """The name of client roots, why they cannot be used, and the condition's reason."""
    name = owner.name(ref)
    if ref.group not in ("", "core") or ref.kind not in ("ConfigMap", "Secret"):
        return "", f"{ref.kind} {name} cannot hold roots; name a ConfigMap with ca.crt", "InvalidCACertificateKind"
    if not owner.permits(ref):  # before anybody looks whether it is there: that is for its own namespace to know
        text = f"no ReferenceGrant allows {owner.kind}s to name {ref.kind} {name}; create one"
        return "", text, "RefNotPermitted"
    spelled = f"configmap:{name}" if ref.kind == "ConfigMap" else name
    return spelled, owner.credentials.roots(spelled), "InvalidCACertificateRef"


def client_certificate(owner: Owner) -> tuple[str, Condition | None]:
    """What the gateway shows to backends that a BackendTLSPolicy is about ("ns/name"), or why it shows nothing."""
    assert isinstance(owner.written, Gateway)
    backend = owner.written.spec.tls.backend if owner.written.spec.tls is not None else None
    ref = backend.client_certificate_ref if backend is not None else None
    if ref is None:
        return "", None
    why, reason = certificate(owner, ref)
    if not why:
        return owner.name(ref), None
    reason = "InvalidClientCertificateRef" if reason == "InvalidCertificateRef" else reason
    return "", Condition("ResolvedRefs", "False", reason, f"{why}; no certificate is shown to backends")


def certificate(owner: Owner, ref: SecretObjectReference) -> tuple[str, str]:
    """Why the reference is no certificate with key, and the condition's reason; "" when it is."""
    name = owner.name(ref)
    if ref.group not in ("", "core") or ref.kind != "Secret":
        return f"{ref.kind} cannot be a certificate; name a Secret", "InvalidCertificateRef"
    if not owner.permits(ref):
        text = f"no ReferenceGrant allows {owner.kind}s of {owner.written.namespace} to name Secret {name}"
        return text, "RefNotPermitted"
    why = owner.credentials.certificate(name)
    return why, "InvalidCertificateRef" if why else ""
