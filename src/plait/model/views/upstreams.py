"""Upstream: one cluster with its policy and endpoints, decided for one proxy. The nouns only; `resolve.py` makes them.

Every way to an endpoint is decided here (plain, TLS, Istio mutual TLS, tunnel, through which waypoint), so that a
translator only writes down what it is given.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from plait.model.http_services import PortProtocol, Resolution
from plait.model.locality import Locality
from plait.model.traffic import NO_POLICY, TrafficPolicy
from plait.model.views.destinations import Peer

Way = Literal["plain", "istio", "tunnel"]
"""plain: raw bytes (or the policy's own TLS); istio: mutual TLS with workload certificates; tunnel: HBONE."""


class UpstreamEndpoint(Struct, frozen=True, gc=False):
    """One endpoint. Tunnel: CONNECT to address:port at `via`, else at address:15008."""

    address: str
    """IP, DNS name, or `unix:///path`."""
    port: int
    way: Way = "plain"
    identities: tuple[str, ...] = ()
    """SPIFFE URIs of which the peer (or the waypoint of `via`) must present one."""
    via: str = ""
    locality: Locality = Locality()
    weight: int = 1
    priority: int = 0
    healthy: bool = True
    peer: Peer = Peer()
    others: tuple[str, ...] = ()
    """Addresses of the same pod in another family: where nobody listens at the first, and by which it may be dialed."""


class Upstream(Struct, frozen=True):
    """Cluster `direction|port|subset|hostname`. Its policy is merged: mesh, under rule, under subset, under port."""

    hostname: str
    port: int
    subset: str = ""
    namespace: str = ""
    service: str = ""
    """Service name, for telemetry labels."""
    protocol: PortProtocol = "auto"
    resolution: Resolution = "workloads"
    policy: TrafficPolicy = NO_POLICY
    endpoints: tuple[UpstreamEndpoint, ...] = ()
    external: bool = False
    pinned: bool = False
    """Who dials one of its pods gets that one (headless services)."""
    waypoint: bool = False
    """Traffic goes to the waypoint of this service, which leaves L7 of the service to it."""
    subject_alt_names: tuple[str, ...] = ()
    """Names the service itself gives, beside those of endpoints."""
    locality_weights: tuple[tuple[Locality, int], ...] = ()
    """Percent by locality where the policy distributes."""
    source: str = ""
    """`Kind/ns/name` of the DestinationRule."""

    @property
    def key(self) -> tuple[str, int, str]:
        return self.hostname, self.port, self.subset
