"""The address plan of one local mesh: everything lives in one 10.<index>.0.0/16, so meshes can stand side by side.

IPv6 addresses are made of the numbers of an IPv4 one: 10.75.2.3 and fd70:6c61:6974:4b02::3 are the same pod. So there
is one allocation, and who reads one address knows the other; a mesh of IPv6 alone gives only the second out. Its wires
have both: what carries the mesh (API server, control plane, agents) speaks IPv4 among itself whatever pods speak.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from plait.base.wellknown import AUTO_ALLOCATED, AUTO_ALLOCATED6

FIRST_INDEX, LAST_INDEX = 64, 127  # 10.64/16 … 10.127/16
IPV4, IPV6 = "IPv4", "IPv6"
FAMILIES = ((IPV4,), (IPV4, IPV6), (IPV6,))
"""What a mesh may have, as `ipFamilies` of a Service names them; the first is the default."""
_UNIQUE_LOCAL = IPv6Network("fd70:6c61:6974::/48")  # RFC 4193
_LONGER = 40  # bits: what a prefix of ours is longer in IPv6; two octets in the fourth group, the last in the eighth

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """`index` picks the /16. Nodes are numbered from 1."""

    index: int
    families: tuple[str, ...] = FAMILIES[0]

    @property
    def ipv4(self) -> bool:
        return IPV4 in self.families

    @property
    def ipv6(self) -> bool:
        return IPV6 in self.families

    @property
    def wires(self) -> AddressPlan:
        """The same plan for what carries the mesh: IPv4 always, and what pods speak besides."""
        return replace(self, families=FAMILIES[1] if self.ipv6 else FAMILIES[0])

    @staticmethod
    def beside(address: IPv4Address) -> IPv6Address:
        """The IPv6 address of what has this IPv4 address."""
        _, second, third, last = address.packed
        return _UNIQUE_LOCAL.network_address + ((second << 8 | third) << 64 | last)

    @staticmethod
    def origin(address: IPv6Address) -> IPv4Address:
        """The IPv4 address that `beside` made this one of."""
        fourth, last = int(address) >> 64 & 0xFFFF, int(address) & 0xFF
        return IPv4Address(10 << 24 | fourth << 8 | last)

    @classmethod
    def range_beside(cls, network: IPv4Network) -> IPv6Network:
        """The same for a range of whole /24s."""
        return IPv6Network((cls.beside(network.network_address), network.prefixlen + _LONGER))

    def each(self, network: IPv4Network) -> tuple[Network, ...]:
        """A range in every family of the mesh, IPv4 first."""
        four, six = (network,) if self.ipv4 else (), (self.range_beside(network),) if self.ipv6 else ()
        return (*four, *six)

    def addresses(self, address: IPv4Address) -> tuple[Address, ...]:
        """The same for one address."""
        four, six = (address,) if self.ipv4 else (), (self.beside(address),) if self.ipv6 else ()
        return (*four, *six)

    def first(self, address: IPv4Address) -> Address:
        """The one by which things of this mesh are called."""
        return self.addresses(address)[0]

    @property
    def network(self) -> IPv4Network:
        return IPv4Network(f"10.{self.index}.0.0/16")

    @property
    def ranges(self) -> tuple[str, ...]:
        """Where pods, services and the hosts of ServiceEntries are: what node proxies look up."""
        four, six = (AUTO_ALLOCATED,) if self.ipv4 else (), (AUTO_ALLOCATED6,) if self.ipv6 else ()
        return (*map(str, self.each(self.network)), *four, *six)

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
