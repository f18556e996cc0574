"""Mesh: the one immutable world, what the objects mean: workloads, services, policies.

The nouns carry everything the workload discovery protocol can say, so a control plane's Mesh and the one a node agent
decodes are the same type. Keys are the protocol's resource names. Equal inputs give the same sub-objects (identity).
Security vocabulary (`Policy` and its parts) is in `model.policies`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from msgspec import Struct

from plait.base import wellknown
from plait.base.spiffe import SpiffeId
from plait.model.extension import Extension
from plait.model.l7 import L7
from plait.model.locality import LoadBalancing as LoadBalancing
from plait.model.locality import Locality as Locality
from plait.model.locality import Scope as Scope
from plait.model.policies import Policy

Tunnel = Literal["none", "hbone", "legacy"]
WorkloadType = Literal["deployment", "cronjob", "pod", "job"]
Status = Literal["healthy", "unhealthy"]
AppProtocol = Literal["", "http11", "http2", "grpc", "tcp", "tls"]
IpFamilies = Literal["", "ipv4", "ipv6", "dual"]


class Port(Struct, frozen=True, gc=False):
    """A service port and the workload port behind it (0: the same workload-side rule as the service's default)."""

    service: int
    target: int = 0
    protocol: AppProtocol = ""


class NetworkAddress(Struct, frozen=True, gc=False):
    """An address on a network; `length` is a prefix length where a range is meant."""

    address: str
    network: str = ""
    length: int | None = None

    @property
    def key(self) -> str:
        """`<network>/<ip>` or `<network>/<ip>/<length>`: the alias a client may subscribe by."""
        tail = "" if self.length is None else f"/{self.length}"
        return f"{self.network}/{self.address}{tail}"


class GatewayAddress(Struct, frozen=True, gc=False):
    """Where a waypoint or network gateway is: either `service` ("ns/hostname") or `address`, and its HBONE port."""

    service: str = ""
    address: NetworkAddress | None = None
    hbone_port: int = wellknown.HBONE_PORT


class WeightedWaypoint(Struct, frozen=True, gc=False):
    destination: GatewayAddress
    weight: int


class ApplicationTunnel(Struct, frozen=True, gc=False):
    """The workload itself terminates a tunnel: `protocol` "proxy" is PROXY protocol on `port`."""

    protocol: Literal["none", "proxy"] = "none"
    port: int = 0


class Membership(Struct, frozen=True, gc=False):
    """This workload backs `service` ("ns/hostname") with these ports."""

    service: str
    ports: tuple[Port, ...] = ()


class Workload(Struct, frozen=True, gc=False):
    """One running instance: a pod, a VM, an external endpoint. `uid` is its resource name."""

    uid: str
    name: str = ""
    namespace: str = ""
    addresses: tuple[str, ...] = ()
    network: str = ""
    tunnel: Tunnel = "none"
    trust_domain: str = wellknown.DEFAULT_TRUST_DOMAIN
    service_account: str = "default"
    node: str = ""
    workload_name: str = ""
    workload_type: WorkloadType = "deployment"
    canonical_name: str = ""
    canonical_revision: str = ""
    status: Status = "healthy"
    services: tuple[Membership, ...] = ()
    policies: tuple[str, ...] = ()
    """Names ("ns/name") of attached policies of scope `workload`; namespace and mesh policies apply without mention."""
    waypoint: GatewayAddress | None = None
    network_gateway: GatewayAddress | None = None
    cluster_id: str = wellknown.CLUSTER_ID
    hostname: str = ""
    native_tunnel: bool = False
    application_tunnel: ApplicationTunnel | None = None
    locality: Locality | None = None
    host_network: bool = False
    capacity: int | None = None
    extensions: tuple[Extension, ...] = ()

    @property
    def identity(self) -> SpiffeId:
        return SpiffeId(self.trust_domain, self.namespace, self.service_account)

    @property
    def healthy(self) -> bool:
        return self.status == "healthy"


class Service(Struct, frozen=True, gc=False):
    """One name with addresses and ports. `key` is its resource name, `<namespace>/<hostname>`."""

    name: str
    namespace: str
    hostname: str
    addresses: tuple[NetworkAddress, ...] = ()
    ports: tuple[Port, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
    waypoint: GatewayAddress | None = None
    load_balancing: LoadBalancing | None = None
    ip_families: IpFamilies = ""
    canonical: bool = False
    ingress_use_waypoint: bool = False
    weighted_waypoints: tuple[WeightedWaypoint, ...] = ()
    namespace_only: bool = False
    extensions: tuple[Extension, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.hostname}"


class Settings(Struct, frozen=True, gc=False):
    """What holds for the whole mesh. `ranges` (CIDRs) are where pods and services live: only these are looked up."""

    trust_domain: str = wellknown.DEFAULT_TRUST_DOMAIN
    root_namespace: str = wellknown.DEFAULT_ROOT_NAMESPACE
    cluster_id: str = wellknown.CLUSTER_ID
    cluster_domain: str = wellknown.CLUSTER_DOMAIN
    network: str = ""
    ranges: tuple[str, ...] = ()
    activator: str = ""
    """Address from which connections come to a waypoint that were held while it started; "" nobody holds any."""


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Mesh(Struct, frozen=True, dict=True):
    """The world at one moment. Never mutate the mappings: make a new Mesh."""

    settings: Settings = Settings()
    workloads: Mapping[str, Workload] = _NOTHING
    """By uid."""
    services: Mapping[str, Service] = _NOTHING
    """By "ns/hostname"."""
    policies: Mapping[str, Policy] = _NOTHING
    """By "ns/name"."""
    l7: L7 = L7()
    """What only HTTP proxies need; workload discovery does not carry it."""
