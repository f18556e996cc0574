"""The address plan of one local mesh: everything lives in one 10.<index>.0.0/16, so meshes can stand side by side."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from plait.base.wellknown import AUTO_ALLOCATED

FIRST_INDEX, LAST_INDEX = 64, 127  # 10.64/16 … 10.127/16


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """`index` picks the /16. Nodes are numbered from 1."""

    index: int

    @property
    def network(self) -> IPv4Network:
        return IPv4Network(f"10.{self.index}.0.0/16")

    @property
    def ranges(self) -> tuple[str, ...]:
        """Where pods, services and the hosts of ServiceEntries are: what node proxies look up."""
        return (str(self.network), AUTO_ALLOCATED)

    def pods(self, node: int) -> IPv4Network:
        """Pod range of one node; the first host address is never given out."""
        return IPv4Network(f"10.{self.index}.{node}.0/24")

    @property
    def services(self) -> IPv4Network:
        return IPv4Network(f"10.{self.index}.128.0/18")

    @property
    def load_balancers(self) -> IPv4Network:
        """LoadBalancer addresses, routed from the host (as root) into the fabric."""
        return IPv4Network(f"10.{self.index}.192.0/20")

    @property
    def api_service(self) -> IPv4Address:
        """ClusterIP of Service default/kubernetes."""
        return self.services[1]

    @property
    def dns_service(self) -> IPv4Address:
        return self.services[10]

    @property
    def fabric(self) -> IPv4Network:
        """The bridge that joins the nodes and the control side."""
        return IPv4Network(f"10.{self.index}.255.0/24")

    @property
    def control(self) -> IPv4Address:
        """API server :6443 and control plane :15012, on the bridge."""
        return self.fabric[1]

    @property
    def host(self) -> IPv4Address:
        return self.fabric[254]

    def node(self, node: int) -> IPv4Address:
        return self.fabric[10 + node]
