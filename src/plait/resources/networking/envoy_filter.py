"""EnvoyFilter: patches laid over the generated Envoy configuration."""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

from typing import Annotated, Literal

from plait.resources.markers import AnyPort, Int32, Model, Port, Struct, doc
from plait.resources.meta import IstioResource
from plait.resources.networking.traffic import TargetReferences, WorkloadSelector

ApplyTo = Literal[
    "INVALID",
    "LISTENER",
    "FILTER_CHAIN",
    "NETWORK_FILTER",
    "HTTP_FILTER",
    "ROUTE_CONFIGURATION",
    "VIRTUAL_HOST",
    "HTTP_ROUTE",
    "CLUSTER",
    "EXTENSION_CONFIG",
    "BOOTSTRAP",
    "LISTENER_FILTER",
]
PatchContext = Literal["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT"]
Operation = Literal[
    "INVALID",
    "MERGE",
    "ADD",
    "REMOVE",
    "INSERT_BEFORE",
    "INSERT_AFTER",
    "INSERT_FIRST",
    "REPLACE",
    "MERGE_AND_REPLACE_LIST",
]


class ProxyMatch(Model, frozen=True, kw_only=True):
    """Proxies by version (RE2) and node metadata."""

    proxy_version: str = ""
    metadata: dict[str, str] = {}


class ClusterMatch(Model, frozen=True, kw_only=True):
    """Clusters by name or by the service behind them."""

    port_number: AnyPort = 0
    service: str = ""
    subset: str = ""
    name: str = ""


class SubFilterMatch(Model, frozen=True, kw_only=True):
    """A filter inside a filter, such as an HTTP filter of the connection manager."""

    name: str = ""


class FilterMatch(Model, frozen=True, kw_only=True):
    """A filter of a chain, by name."""

    name: str = ""
    sub_filter: SubFilterMatch | None = None


class FilterChainMatch(Model, frozen=True, kw_only=True):
    """A filter chain by name or by its match."""

    name: str = ""
    sni: str = ""
    transport_protocol: str = ""
    application_protocols: str = ""
    filter: FilterMatch | None = None
    destination_port: AnyPort = 0


class ListenerMatch(Model, frozen=True, kw_only=True):
    """Listeners by name or port, and what inside them."""

    port_number: AnyPort = 0
    port_name: str = ""
    filter_chain: FilterChainMatch | None = None
    listener_filter: str = ""
    name: str = ""


class RouteMatch(Model, frozen=True, kw_only=True):
    """A route of a virtual host."""

    name: str = ""
    action: Literal["ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"] = "ANY"


class VirtualHostMatch(Model, frozen=True, kw_only=True):
    """A virtual host of a route configuration."""

    name: str = ""
    domain_name: str = ""
    route: RouteMatch | None = None


class RouteConfigurationMatch(Model, frozen=True, kw_only=True):
    """Route configurations by name, port or gateway."""

    port_number: AnyPort = 0
    port_name: str = ""
    gateway: str = ""
    vhost: VirtualHostMatch | None = None
    name: str = ""


class WaypointRouteMatch(Model, frozen=True, kw_only=True):
    """A route of a waypoint, by name."""

    name: str = ""


class WaypointMatch(Model, frozen=True, kw_only=True):
    """Places in a waypoint's configuration."""

    filter: FilterMatch | None = None
    port_number: Port | None = None
    route: WaypointRouteMatch | None = None


class ConfigObjectMatch(Model, frozen=True, kw_only=True):
    """Where the patch applies: context, proxies, and one of listener, routeConfiguration, cluster, waypoint."""

    context: PatchContext = "ANY"
    proxy: ProxyMatch | None = None
    listener: ListenerMatch | None = None
    route_configuration: RouteConfigurationMatch | None = None
    cluster: ClusterMatch | None = None
    waypoint: WaypointMatch | None = None


class Patch(Model, frozen=True, kw_only=True):
    """What is done at the place, and the Envoy configuration to do it with."""

    operation: Operation = "INVALID"
    value: Struct | None = None
    filter_class: Literal["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"] = "UNSPECIFIED"


class EnvoyConfigObjectPatch(Model, frozen=True, kw_only=True):
    """One patch."""

    apply_to: ApplyTo = "INVALID"
    match: ConfigObjectMatch | None = None
    patch: Patch | None = None


class EnvoyFilterSpec(Model, frozen=True, kw_only=True):
    """Patches for chosen workloads, in order of priority."""

    workload_selector: WorkloadSelector | None = None
    target_refs: TargetReferences = ()
    config_patches: tuple[EnvoyConfigObjectPatch, ...] = ()
    priority: Annotated[Int32, doc("Lower goes first; the default is 0.")] = 0


class EnvoyFilter(IstioResource, frozen=True, kw_only=True):
    """Patches to Envoy's configuration."""

    spec: EnvoyFilterSpec = EnvoyFilterSpec()
