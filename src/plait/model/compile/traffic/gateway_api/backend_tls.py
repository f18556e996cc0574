"""BackendTLSPolicy -> ClientTls of a service (or one of its ports), for gateways. The oldest of several counts.

A policy that cannot be met breaks connections to its service from gateways: never plain text where TLS was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from plait.model.compile.services import hostname
from plait.model.compile.traffic.credentials import Credentials
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
        named: list[str] = []
        for ref in each.spec.target_refs:
            service = services.get(f"{each.namespace}/{hostname(ref.name, each.namespace, settings)}")
            if ref.kind != "Service" or ref.group not in ("", "core") or service is None:
                text = f"{ref.kind} {ref.name} does not exist; name a Service"
                accepted = Condition("Accepted", "False", "TargetNotFound", text)
                continue
            named.append(service.key)
            port = next((p.number for p in service.ports if p.name == ref.section_name), 0)
            if ref.section_name is not None and not port:
                text = f"Service {ref.name} has no port named {ref.section_name}; mend sectionName"
                accepted = Condition("Accepted", "False", "TargetNotFound", text)
                continue
            policy = BackendTls(source, service.key, port, BackendRule(source, tls, broken))
            first = made.setdefault((service.key, port), policy)
            if first is not policy:
                text = f"{first.source} is older and speaks for {ref.name} already"
                accepted = Condition("Accepted", "False", "Conflicted", text)
        conditions[each.ident], targets[each.ident] = (accepted, resolved), tuple(dict.fromkeys(named))
    return Read(tuple(made.values()), conditions, targets)


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
