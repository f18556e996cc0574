"""ReferenceGrant and BackendTLSPolicy: who may be referred to from elsewhere, and TLS toward backends."""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from plait.resources.gateway_api.shared import (
    Condition,
    ControllerName,
    GatewayApiResource,
    Group,
    Hostname,
    KindName,
    LocalObjectReference,
    NamespaceName,
    ObjectName,
    Options,
    ParentReference,
    PreciseHostname,
    SectionName,
)
from plait.resources.markers import ATOMIC, Model, keyed, limit

_DNS1123 = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"


class ReferenceGrantFrom(Model, frozen=True, kw_only=True):
    """Objects that may refer: of this kind, in this namespace."""

    group: Group
    kind: KindName
    namespace: NamespaceName


class ReferenceGrantTo(Model, frozen=True, kw_only=True):
    """Objects of this namespace that may be referred to."""

    group: Group
    kind: KindName
    name: ObjectName | None = None


class ReferenceGrantSpec(Model, frozen=True, kw_only=True):
    """References allowed into this namespace."""

    from_: Annotated[tuple[ReferenceGrantFrom, ...], limit(minItems=1, maxItems=16), ATOMIC]
    to: Annotated[tuple[ReferenceGrantTo, ...], limit(minItems=1, maxItems=16), ATOMIC]


class ReferenceGrant(GatewayApiResource, frozen=True, kw_only=True):
    """Permission to refer to objects of this namespace from another."""

    spec: ReferenceGrantSpec


class PolicyTargetReference(Model, frozen=True, kw_only=True):
    """The service (or one port of it) the policy is about."""

    group: Group
    kind: KindName
    name: ObjectName
    section_name: SectionName | None = None


class SubjectAltName(Model, frozen=True, kw_only=True):
    """A name the backend's certificate must carry."""

    type: Literal["Hostname", "URI"]
    hostname: Hostname | None = None
    uri: (
        Annotated[
            str,
            limit(minLength=1, maxLength=253, pattern=r"^(([^:/?#]+):)(//([^/?#]*))([^?#]*)(\?([^#]*))?(#(.*))?"),
        ]
        | None
    ) = None


class BackendTLSPolicyValidation(Model, frozen=True, kw_only=True):
    """How the backend's certificate is verified."""

    ca_certificate_refs: Annotated[tuple[LocalObjectReference, ...], limit(maxItems=8), ATOMIC] = ()
    well_known_ca_certificates: (
        Annotated[
            str,
            limit(
                minLength=1,
                maxLength=253,
                pattern=rf"^(System|({_DNS1123}/([A-Za-z0-9][-A-Za-z0-9_.]{{0,61}})?[A-Za-z0-9]))$",
            ),
        ]
        | None
    ) = msgspec.field(default=None, name="wellKnownCACertificates")
    hostname: PreciseHostname
    subject_alt_names: Annotated[tuple[SubjectAltName, ...], limit(maxItems=5), ATOMIC] = ()


class BackendTLSPolicySpec(Model, frozen=True, kw_only=True):
    """TLS from the gateway to the targets."""

    target_refs: Annotated[tuple[PolicyTargetReference, ...], limit(minItems=1, maxItems=16), ATOMIC]
    validation: BackendTLSPolicyValidation
    options: Options = {}


class PolicyAncestorStatus(Model, frozen=True, kw_only=True):
    """What one controller says about the policy at one gateway."""

    ancestor_ref: ParentReference
    controller_name: ControllerName
    conditions: Annotated[tuple[Condition, ...], limit(minItems=1, maxItems=8), keyed("type")]


class PolicyStatus(Model, frozen=True, kw_only=True):
    """Status of a policy, by gateway."""

    ancestors: Annotated[tuple[PolicyAncestorStatus, ...], limit(maxItems=16), ATOMIC]


class BackendTLSPolicy(GatewayApiResource, frozen=True, kw_only=True):
    """TLS from gateways to a service."""

    spec: BackendTLSPolicySpec
    status: PolicyStatus | None = None
