"""BackendTLSPolicy -> ClientTls of a service (or one of its ports), for gateways. The oldest of several counts.

A policy that cannot be met breaks connections to its service from gateways: never plain text where TLS was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from plait.model.compile.traffic.credentials import Credentials
from plait.model.compile.traffic.gateway_api.named import named
from plait.model.http_services import HttpService
from plait.model.mesh import Settings
from plait.model.status import Condition
from plait.model.traffic import BackendRule, ClientTls
from plait.resources.gateway_api.policies import BackendTLSPolicy

IGNORED = "istio.io/ignore-policy-attachment"
"""Annotation, "true": as if the policy were not there."""


class BackendTls(msgspec.Struct, frozen=True):
    """What one policy says about one service key and port (0 all)."""

    source: str
    service: str
    port: int
    rule: BackendRule


class Read(msgspec.Struct, frozen=True):
    policies: tuple[BackendTls, ...]
    conditions: Mapping[tuple[str, str], tuple[Condition, ...]]
    """By (namespace, name) of the policy."""
    targets: Mapping[tuple[str, str], tuple[str, ...]]
    """Keys of the services each names, whether it speaks for them or an older one does."""


def read(
    found: Iterable[BackendTLSPolicy],
    services: Mapping[str, HttpService],
    credentials: Credentials,
    settings: Settings,
) -> Read:
    made: dict[tuple[str, int], BackendTls] = {}
    conditions: dict[tuple[str, str], tuple[Condition, ...]] = {}
    targets: dict[tuple[str, str], tuple[str, ...]] = {}
    heard = (each for each in found if each.meta.annotations.get(IGNORED, "").lower() != "true")
    for each in sorted(heard, key=lambda p: (p.meta.creation_timestamp or "", p.namespace, p.name)):
        tls, accepted, resolved = _tls(each, credentials)
        broken = accepted.message if accepted.status == "False" else ""
        source = f"BackendTLSPolicy/{each.namespace}/{each.name}"
        spoken: list[str] = []
        for ref in each.spec.target_refs:
            meant = named(ref, each.namespace, services, settings)
            spoken.extend(service.key for service in meant)
            ports = {service.key: _port(service, ref.section_name) for service in meant}
            if not meant:
                text = f"{ref.kind} {ref.name} does not exist; name a Service or ServiceEntry"
                accepted = Condition("Accepted", "False", "TargetNotFound", text)
            elif None in ports.values():
                text = f"{ref.kind} {ref.name} has no port named {ref.section_name}; mend sectionName"
                accepted = Condition("Accepted", "False", "TargetNotFound", text)
                continue
            for key, port in ports.items():
                policy = BackendTls(source, key, port or 0, BackendRule(source, tls, broken))
                first = made.setdefault((key, policy.port), policy)
                if first is not policy:
                    text = f"{first.source} is older and speaks for {ref.name} already"
                    accepted = Condition("Accepted", "False", "Conflicted", text)
        conditions[each.ident], targets[each.ident] = (accepted, resolved), tuple(dict.fromkeys(spoken))
    return Read(tuple(made.values()), conditions, targets)


def _port(service: HttpService, section: str | None) -> int | None:
    """The number of a port by name; 0 when all are meant, None when there is none of that name."""
    return next((p.number for p in service.ports if p.name == section), None) if section else 0


def _tls(each: BackendTLSPolicy, credentials: Credentials) -> tuple[ClientTls, Condition, Condition]:
    """With the conditions Accepted and ResolvedRefs. Roots that cannot be used are told; one that can is enough."""
    check = each.spec.validation
    accepted, resolved = Condition("Accepted", "True", "Accepted"), Condition("ResolvedRefs", "True", "ResolvedRefs")
    roots: list[str] = []
    for ref in check.ca_certificate_refs:
        name = f"{each.namespace}/{ref.name}"
        if ref.kind != "ConfigMap" or ref.group not in ("", "core"):
            text = f"{ref.kind} cannot hold roots; name a ConfigMap with ca.crt"
            resolved = Condition("ResolvedRefs", "False", "InvalidKind", text)
        elif why := credentials.roots(f"configmap:{name}"):
            resolved = Condition("ResolvedRefs", "False", "InvalidCACertificateRef", why)
        else:
            roots.append(credentials.pem(name))
    if check.ca_certificate_refs and not roots:
        accepted = Condition("Accepted", "False", "NoValidCACertificate", resolved.message)
    if check.well_known_ca_certificates not in (None, "System"):
        text = f"wellKnownCACertificates {check.well_known_ca_certificates} is not known; write System"
        accepted = Condition("Accepted", "False", "Invalid", text)
    names = tuple(name.hostname or name.uri or "" for name in check.subject_alt_names)
    tls = ClientTls(
        "simple",
        check.hostname,
        names or (check.hostname,),
        inline_roots="\n".join(roots),
        system_roots=check.well_known_ca_certificates == "System",
    )
    return tls, accepted, resolved
