"""GatewayClass, Gateway and ListenerSet: who runs gateways, and which ports, hosts and certificates they have."""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

from typing import Annotated, Literal

from plait.resources.gateway_api.shared import GROUP as GATEWAY_GROUP
from plait.resources.gateway_api.shared import (
    Conditions,
    ControllerName,
    GatewayApiResource,
    GatewayGroup,
    Hostname,
    KindName,
    LocalObjectReference,
    ObjectName,
    ObjectReference,
    Options,
    ParametersReference,
    ParentGatewayReference,
    SecretObjectReference,
    SectionName,
)
from plait.resources.markers import ATOMIC, Int32, Model, Port, keyed, limit
from plait.resources.meta import LabelSelector

_PENDING = {
    "type": "Accepted",
    "status": "Unknown",
    "reason": "Pending",
    "message": "Waiting for controller",
    "lastTransitionTime": "1970-01-01T00:00:00Z",
}
_PROGRAMMED = {**_PENDING, "type": "Programmed"}


class GatewayClassSpec(Model, frozen=True, kw_only=True):
    """The controller that runs gateways of this class."""

    controller_name: ControllerName
    parameters_ref: ParametersReference | None = None
    description: Annotated[str, limit(maxLength=64)] | None = None


class SupportedFeature(Model, frozen=True, kw_only=True):
    """A feature of the Gateway API that the class supports."""

    name: str


class GatewayClassStatus(Model, frozen=True, kw_only=True):
    """Whether a controller took the class."""

    conditions: Annotated[Conditions, limit(default=[_PENDING])] = ()
    supported_features: Annotated[tuple[SupportedFeature, ...], limit(maxItems=64), keyed("name")] = ()


class GatewayClass(GatewayApiResource, frozen=True, kw_only=True):
    """A sort of gateway, run by one controller."""

    spec: GatewayClassSpec
    status: GatewayClassStatus | None = None


class RouteNamespaces(Model, frozen=True, kw_only=True):
    """Namespaces whose routes may attach."""

    from_: Annotated[Literal["All", "Selector", "Same"], limit(default="Same")] = "Same"
    selector: LabelSelector | None = None


class RouteGroupKind(Model, frozen=True, kw_only=True):
    """A kind of route."""

    group: GatewayGroup = GATEWAY_GROUP
    kind: KindName


class AllowedRoutes(Model, frozen=True, kw_only=True):
    """Routes that may attach to a listener."""

    namespaces: Annotated[RouteNamespaces, limit(default={"from": "Same"})] = RouteNamespaces()
    kinds: Annotated[tuple[RouteGroupKind, ...], limit(maxItems=8), ATOMIC] = ()


class ListenerTLSConfig(Model, frozen=True, kw_only=True):
    """TLS of a listener: ended here with certificates, or passed through."""

    mode: Annotated[Literal["Terminate", "Passthrough"], limit(default="Terminate")] = "Terminate"
    certificate_refs: Annotated[tuple[SecretObjectReference, ...], limit(maxItems=64), ATOMIC] = ()
    options: Options = {}


_PROTOCOL = (
    r"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"
    r"|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]+$"
)


class Listener(Model, frozen=True, kw_only=True):
    """A port on which the gateway takes connections."""

    name: SectionName
    hostname: Hostname | None = None
    port: Port
    protocol: Annotated[str, limit(minLength=1, maxLength=255, pattern=_PROTOCOL)]
    tls: ListenerTLSConfig | None = None
    allowed_routes: Annotated[AllowedRoutes, limit(default={"namespaces": {"from": "Same"}})] = AllowedRoutes()


Listeners = Annotated[tuple[Listener, ...], limit(minItems=1, maxItems=64), keyed("name")]
_ADDRESS_TYPE = (
    r"^Hostname|IPAddress|NamedAddress|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
    r"\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$"
)
_AddressType = Annotated[str, limit(minLength=1, maxLength=253, pattern=_ADDRESS_TYPE, default="IPAddress")]


class GatewaySpecAddress(Model, frozen=True, kw_only=True):
    """An address asked for."""

    type: _AddressType = "IPAddress"
    value: Annotated[str, limit(maxLength=253)] = ""


class GatewayStatusAddress(Model, frozen=True, kw_only=True):
    """An address the gateway has."""

    type: _AddressType = "IPAddress"
    value: Annotated[str, limit(minLength=1, maxLength=253)]


_LabelValue = Annotated[str, limit(minLength=0, maxLength=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")]
_AnnotationValue = Annotated[str, limit(minLength=0, maxLength=4096)]


class GatewayInfrastructure(Model, frozen=True, kw_only=True):
    """Labels, annotations and parameters of what is created for the gateway."""

    labels: Annotated[dict[str, _LabelValue], limit(maxProperties=8)] = {}
    annotations: Annotated[dict[str, _AnnotationValue], limit(maxProperties=16)] = {}
    parameters_ref: LocalObjectReference | None = None


class ListenerNamespaces(Model, frozen=True, kw_only=True):
    """Namespaces whose ListenerSets may attach."""

    from_: Annotated[Literal["All", "Selector", "Same", "None"], limit(default="None")] = "None"
    selector: LabelSelector | None = None


class AllowedListeners(Model, frozen=True, kw_only=True):
    """ListenerSets that may attach."""

    namespaces: Annotated[ListenerNamespaces, limit(default={"from": "None"})] = ListenerNamespaces()


class GatewayBackendTLS(Model, frozen=True, kw_only=True):
    """The certificate the gateway shows to backends."""

    client_certificate_ref: SecretObjectReference | None = None


class FrontendTLSValidation(Model, frozen=True, kw_only=True):
    """How client certificates are verified."""

    ca_certificate_refs: Annotated[tuple[ObjectReference, ...], limit(minItems=1, maxItems=16), ATOMIC]
    mode: Annotated[Literal["AllowValidOnly", "AllowInsecureFallback"], limit(default="AllowValidOnly")] = (
        "AllowValidOnly"
    )


class TLSConfig(Model, frozen=True, kw_only=True):
    """Verification of client certificates."""

    validation: FrontendTLSValidation | None = None


class TLSPortConfig(Model, frozen=True, kw_only=True):
    """Verification of client certificates on one port."""

    port: Port
    tls: TLSConfig


class FrontendTLSConfig(Model, frozen=True, kw_only=True):
    """TLS toward clients, for all ports and for single ones."""

    default: TLSConfig
    per_port: Annotated[tuple[TLSPortConfig, ...], limit(maxItems=64), keyed("port")] = ()


class GatewayTLSConfig(Model, frozen=True, kw_only=True):
    """TLS of the gateway toward backends and clients."""

    backend: GatewayBackendTLS | None = None
    frontend: FrontendTLSConfig | None = None


class GatewaySpec(Model, frozen=True, kw_only=True):
    """Class, listeners and addresses of the gateway."""

    gateway_class_name: ObjectName
    listeners: Listeners
    addresses: Annotated[tuple[GatewaySpecAddress, ...], limit(maxItems=16), ATOMIC] = ()
    infrastructure: GatewayInfrastructure | None = None
    allowed_listeners: AllowedListeners | None = None
    tls: GatewayTLSConfig | None = None
    default_scope: Literal["All", "None"] | None = None


class ListenerStatus(Model, frozen=True, kw_only=True):
    """What a controller says about one listener."""

    name: SectionName
    supported_kinds: Annotated[tuple[RouteGroupKind, ...], limit(maxItems=8), ATOMIC] = ()
    attached_routes: Int32
    conditions: Conditions


_ListenerStatuses = Annotated[tuple[ListenerStatus, ...], limit(maxItems=64), keyed("name")]
_Pending = Annotated[Conditions, limit(default=[_PENDING, _PROGRAMMED])]


class GatewayStatus(Model, frozen=True, kw_only=True):
    """Addresses and conditions of the gateway."""

    addresses: Annotated[tuple[GatewayStatusAddress, ...], limit(maxItems=16), ATOMIC] = ()
    conditions: _Pending = ()
    listeners: _ListenerStatuses = ()
    attached_listener_sets: Int32 | None = None


class Gateway(GatewayApiResource, frozen=True, kw_only=True):
    """A place where traffic enters: listeners bound to addresses."""

    spec: GatewaySpec
    status: GatewayStatus | None = None


class ListenerSetSpec(Model, frozen=True, kw_only=True):
    """Listeners added to a gateway."""

    parent_ref: ParentGatewayReference
    listeners: Listeners


class ListenerSetStatus(Model, frozen=True, kw_only=True):
    """Conditions of the set and its listeners."""

    conditions: _Pending = ()
    listeners: _ListenerStatuses = ()


class ListenerSet(GatewayApiResource, frozen=True, kw_only=True):
    """Further listeners of a gateway, kept by somebody else."""

    spec: ListenerSetSpec
    status: ListenerSetStatus | None = None
