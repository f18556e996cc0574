"""The Kubernetes kinds a mesh reads, each with only the fields it reads; everything else passes unseen.

These are lenses for `compile`; full schemas of these kinds are the store's business.
"""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

from typing import Annotated

import msgspec

from plait.resources.markers import INT_OR_STRING, Lenient
from plait.resources.meta import Resource

IntOrString = Annotated[int | str, INT_OR_STRING]


class ContainerPort(Lenient, frozen=True, kw_only=True):
    """A port a container says it listens on."""

    name: str = ""
    container_port: int = 0
    protocol: str = "TCP"
    host_port: int = 0


class EnvVar(Lenient, frozen=True, kw_only=True):
    """An environment variable with a fixed value."""

    name: str = ""
    value: str = ""


class HTTPGetAction(Lenient, frozen=True, kw_only=True):
    """A probe by GET."""

    path: str = ""
    port: IntOrString = 0
    host: str = ""
    scheme: str = "HTTP"


class PortAction(Lenient, frozen=True, kw_only=True):
    """A probe of a port."""

    port: IntOrString = 0
    service: str | None = None


class Probe(Lenient, frozen=True, kw_only=True):
    """A probe as far as it decides which ports a kubelet calls."""

    http_get: HTTPGetAction | None = None
    tcp_socket: PortAction | None = None
    grpc: PortAction | None = None


class Container(Lenient, frozen=True, kw_only=True):
    """A container."""

    name: str = ""
    image: str = ""
    ports: tuple[ContainerPort, ...] = ()
    env: tuple[EnvVar, ...] = ()
    restart_policy: str = ""
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None


class PodSpec(Lenient, frozen=True, kw_only=True):
    """Where and as whom a pod runs."""

    node_name: str = ""
    service_account_name: str = ""
    host_network: bool = False
    hostname: str = ""
    subdomain: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()


class PodIP(Lenient, frozen=True, kw_only=True):
    """One address of a pod."""

    ip: str = ""


class Condition(Lenient, frozen=True, kw_only=True):
    """One condition of a status."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


class PodStatus(Lenient, frozen=True, kw_only=True):
    """What the kubelet says about a pod."""

    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    pod_ips: tuple[PodIP, ...] = msgspec.field(default=(), name="podIPs")
    host_ip: str = msgspec.field(default="", name="hostIP")
    conditions: tuple[Condition, ...] = ()


class Pod(Resource, frozen=True, kw_only=True):
    """A pod."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def ready(self) -> bool:
        """Whether its Ready condition is true."""
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses, the main one first."""
        found = tuple(each.ip for each in self.status.pod_ips if each.ip)
        return found or ((self.status.pod_ip,) if self.status.pod_ip else ())


class ServicePort(Lenient, frozen=True, kw_only=True):
    """A port of a service."""

    name: str = ""
    port: int = 0
    protocol: str = "TCP"
    app_protocol: str | None = None
    target_port: IntOrString = 0
    node_port: int = 0


class ServiceSpec(Lenient, frozen=True, kw_only=True):
    """Addresses, ports and selection of a service."""

    type: str = "ClusterIP"
    selector: dict[str, str] = {}
    ports: tuple[ServicePort, ...] = ()
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")
    external_ips: tuple[str, ...] = msgspec.field(default=(), name="externalIPs")
    external_name: str = ""
    ip_families: tuple[str, ...] = ()
    publish_not_ready_addresses: bool = False
    traffic_distribution: str | None = None
    internal_traffic_policy: str | None = None
    session_affinity: str = ""
    load_balancer_class: str | None = None


class LoadBalancerIngress(Lenient, frozen=True, kw_only=True):
    """An address of a load balancer."""

    ip: str = ""
    hostname: str = ""


class LoadBalancerStatus(Lenient, frozen=True, kw_only=True):
    """Addresses of a load balancer."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(Lenient, frozen=True, kw_only=True):
    """What controllers say about a service."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()
    conditions: tuple[Condition, ...] = ()


class Service(Resource, frozen=True, kw_only=True):
    """A service."""

    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()


class ObjectReference(Lenient, frozen=True, kw_only=True):
    """An object behind something."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class EndpointConditions(Lenient, frozen=True, kw_only=True):
    """State of an endpoint; None counts as true for ready and serving."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ForZone(Lenient, frozen=True, kw_only=True):
    """A zone an endpoint is meant for."""

    name: str = ""


class EndpointHints(Lenient, frozen=True, kw_only=True):
    """Who should use an endpoint."""

    for_zones: tuple[ForZone, ...] = ()


class Endpoint(Lenient, frozen=True, kw_only=True):
    """One endpoint, by its addresses (alternatives of one thing)."""

    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    hostname: str | None = None
    target_ref: ObjectReference | None = None
    node_name: str | None = None
    zone: str | None = None
    hints: EndpointHints | None = None


class EndpointPort(Lenient, frozen=True, kw_only=True):
    """A port all endpoints of a slice have."""

    name: str | None = None
    port: int | None = None
    protocol: str | None = None
    app_protocol: str | None = None


class EndpointSlice(Resource, frozen=True, kw_only=True):
    """Endpoints of a service (label kubernetes.io/service-name)."""

    address_type: str = "IPv4"
    endpoints: tuple[Endpoint, ...] | None = ()
    ports: tuple[EndpointPort, ...] | None = ()


class NamespaceStatus(Lenient, frozen=True, kw_only=True):
    """Active or Terminating."""

    phase: str = ""


class Namespace(Resource, frozen=True, kw_only=True):
    """A namespace."""

    status: NamespaceStatus = NamespaceStatus()


class NodeAddress(Lenient, frozen=True, kw_only=True):
    """One address of a node."""

    type: str = ""
    address: str = ""


class NodeSpec(Lenient, frozen=True, kw_only=True):
    """Pod networks of a node."""

    pod_cidr: str = msgspec.field(default="", name="podCIDR")
    pod_cidrs: tuple[str, ...] = msgspec.field(default=(), name="podCIDRs")
    unschedulable: bool = False


class NodeStatus(Lenient, frozen=True, kw_only=True):
    """Addresses and conditions of a node."""

    addresses: tuple[NodeAddress, ...] = ()
    conditions: tuple[Condition, ...] = ()


class Node(Resource, frozen=True, kw_only=True):
    """A node."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class ServiceAccount(Resource, frozen=True, kw_only=True):
    """A service account: the identity of pods."""


class Secret(Resource, frozen=True, kw_only=True):
    """A secret; values are base64."""

    type: str = ""
    data: dict[str, str] | None = {}
    string_data: dict[str, str] | None = {}


class ConfigMap(Resource, frozen=True, kw_only=True):
    """A config map."""

    data: dict[str, str] | None = {}
    binary_data: dict[str, str] | None = {}
