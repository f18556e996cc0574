"""Which node of which mesh an agent serves, and how: everything it knows before it has heard anything."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from plait.base.wellknown import EAGER, XDS_TLS_PORT
from plait.local.addresses import AddressPlan
from plait.local.layout import Layout
from plait.model.mesh import Settings
from plait.proxy.certs import LIFETIME


@dataclass(frozen=True, slots=True)
class Place:
    """`capture` is the form: "in-pod", or "node" with a namespace of its own for Envoy, at `proxy_address`."""

    layout: Layout
    plan: AddressPlan
    node: str
    address: str
    settings: Settings
    concurrency: int = 1
    capture: str = "in-pod"
    proxy_address: str = ""
    certificate_lifetime: float = LIFETIME
    dns_capture: bool = True
    eager: int = EAGER

    @property
    def addresses(self) -> tuple[str, ...]:
        """The node's own, of each family, IPv4 always among them."""
        return tuple(map(str, self.plan.wires.addresses(IPv4Address(self.address))))

    @property
    def proxy_addresses(self) -> tuple[str, ...]:
        """Node-level capture: those of the namespace that the node's Envoy runs in."""
        return tuple(map(str, self.plan.wires.addresses(IPv4Address(self.proxy_address))))

    @property
    def proxy_namespace(self) -> Path | None:
        """Node-level capture: where the node's Envoy runs."""
        return self.layout.netns(f"{self.node}-zt") if self.capture == "node" else None

    @property
    def folder(self) -> Path:
        return self.layout.node(self.node)

    @property
    def proxy_id(self) -> str:
        return f"ztunnel~{self.address}~ztunnel-{self.node}.istio-system~istio-system.svc.cluster.local"

    @property
    def authority(self) -> str:
        """Where discovery and certificates are served."""
        return f"{self.plan.control}:{XDS_TLS_PORT}"
