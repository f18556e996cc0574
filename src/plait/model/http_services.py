"""HttpService: what an HTTP proxy must know of a service beside its L4 self; Instance: the same of a workload.

Addresses of workloads stay in `model.mesh` (they change often); a view joins both. Endpoints found by DNS or on unix
sockets are no workloads, so they stand here.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from plait.model.attachment import Labels
from plait.model.locality import LoadBalancing, Locality
from plait.model.modes import Mode

PortProtocol = Literal[
    "auto",
    "http",
    "http2",
    "grpc",
    "grpc-web",
    "https",
    "tls",
    "tcp",
    "udp",
    "mongo",
    "redis",
    "mysql",
    "thrift",
    "dubbo",
]
"""`auto`: nobody said, so the first bytes decide."""
CALLS: tuple[PortProtocol, ...] = ("redis", "thrift", "dubbo")
"""Served call by call where a service's author asks for it (annotation `plait.dev/serve-calls`), else `tcp`."""
READ: tuple[PortProtocol, ...] = (*CALLS, "mongo")
"""Protocols beside HTTP that a proxy reads."""
Resolution = Literal["workloads", "dns", "dns_round_robin", "dynamic_dns", "none"]
"""`workloads`: endpoints are workloads of the Mesh. `none`: connect to the address that was asked for."""


class HttpPort(Struct, frozen=True, gc=False):
    number: int
    name: str = ""
    protocol: PortProtocol = "auto"
    target: int = 0
    """Number at the endpoints; 0: the same, or named (then each workload's membership knows)."""

    @property
    def http(self) -> bool:
        return self.protocol in ("http", "http2", "grpc", "grpc-web")


class NamedEndpoint(Struct, frozen=True, gc=False):
    """An endpoint by DNS name or unix socket (`unix:///path`)."""

    address: str
    ports: tuple[tuple[int, int], ...] = ()
    """(service port, endpoint port) where they differ."""
    labels: Labels = ()
    locality: Locality = Locality()
    weight: int = 1
    network: str = ""


class HttpService(Struct, frozen=True):
    """`key` is that of its `model.mesh.Service`. `kind` and `name` are of the object, for policies that target it."""

    key: str
    hostname: str
    namespace: str
    kind: Literal["Service", "ServiceEntry"]
    name: str
    ports: tuple[HttpPort, ...] = ()
    addresses: tuple[str, ...] = ()
    """IPs or CIDRs it answers to; none for headless and nameless ones."""
    resolution: Resolution = "workloads"
    external: bool = False
    """Outside the mesh: no mutual TLS, no identity."""
    headless: bool = False
    alias: str = ""
    """ExternalName: the host it stands for."""
    endpoints: tuple[NamedEndpoint, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
    visible: tuple[str, ...] = ("*",)
    labels: Labels = ()
    waypoint: str = ""
    """Gateway ("ns/name") of its waypoint; "" none."""
    optional_waypoints: tuple[str, ...] = ()
    """Waypoints ("ns/name") that clients may pass and need not: sidecars of the service judge who passed none."""
    ingress_waypoint: bool = False
    """Gateways send through the waypoint too."""
    balancing: LoadBalancing | None = None
    """What the Service itself says about which endpoints are near, and whether those that are not ready count."""
    sticky_seconds: int = 0
    """Kubernetes session affinity by client address; 0 none."""
    created: str = ""

    def port(self, number: int) -> HttpPort | None:
        return next((port for port in self.ports if port.number == number), None)

    def behind(self, waypoint: str) -> bool:
        """Whether that waypoint serves it: an optional one does before the first client, and until the last goes."""
        return waypoint == self.waypoint or waypoint in self.optional_waypoints


class Instance(Struct, frozen=True, gc=False):
    """What a workload is to L7. `uid` is that of its `model.mesh.Workload`."""

    uid: str
    labels: Labels = ()
    mode: Mode = "none"
    gateway: str = ""
    """Gateway API object ("ns/name") this pod was made for."""
    waypoint: str = ""
    """Gateway ("ns/name") that stands before this workload's own address."""
    ports: tuple[tuple[str, int], ...] = ()
    """Container ports by name."""
    transparent: bool = False
    """Its sidecar calls the application from the client's address (interception mode TPROXY)."""
    uncaptured: bool = False
    """Nothing is redirected to its sidecar (interception mode NONE): that has what comes to its own listeners."""
    plaintext: bool = False
    """It has a sidecar, but its label security.istio.io/tlsMode asks clients not to use mutual TLS by themselves."""
