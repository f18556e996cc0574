"""What the owner of an L7 proxy decides beside what the mesh says: log path, ports of the proxy, fetched modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from plait.base.wellknown import EAGER


@dataclass(frozen=True, slots=True)
class Options:
    """`access_log` is a path as Envoy sees it; `modules` maps a Wasm URL to the local file it was fetched to.

    `outbound_port` and `inbound_port` are where captured traffic of a sidecar arrives.
    """

    access_log: str = "/dev/stdout"
    system_roots: str = "/etc/ssl/certs/ca-certificates.crt"
    """Envoy needs a file: it does not look for the system's roots itself."""
    modules: Mapping[str, str] = field(default_factory=dict)
    version: str = "1.30.0"
    """The Istio version whose behaviour this proxy has: what EnvoyFilters match by."""
    outbound_port: int = 15001
    inbound_port: int = 15006
    hbone_port: int = 15008
    eager: int = EAGER
    """Up to how many upstreams a sidecar has all their clusters before anybody asks."""

    @property
    def ports(self) -> frozenset[int]:
        """A sidecar's own."""
        return frozenset((self.outbound_port, self.inbound_port, self.hbone_port))


DEFAULT = Options()
