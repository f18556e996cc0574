"""How does a pod get its network? A namespace, a veth pair to its node, an address of the node's range.

Routing is point to point: the pod has a /32 and a default route to 169.254.1.1 on the link, for which the node's end
answers ARP; the node has a host route to the pod. So no bridge, and all traffic passes the node's own tables. In a mesh
with both families the pod has a /128 besides and its default route to fe80::1, which the node's end has; in one of IPv6
alone it has only that.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Protocol

from plait.base import netns
from plait.base.wellknown import ADDRESS
from plait.local import links
from plait.local.addresses import Address, AddressPlan
from plait.local.layout import Layout, short
from plait.store.api import Document

GATEWAY, GATEWAY6 = IPv4Address("169.254.1.1"), IPv6Address("fe80::1")
_NEVER_OUT = 2  # network address and first host address of the range
_HELD_SECONDS = 30.0  # how long a pod waits for an address that another one still has
_POD_SYSCTLS = {
    "ipv4/ip_unprivileged_port_start": "0",  # as container engines do: port 80 without NET_BIND_SERVICE
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
}


class PodNetworkHook(Protocol):
    """Who wants to be asked before a pod's first process runs, and before its network goes: the mesh's node agent.

    `addresses` are the pod's, one a family, as its `status.podIPs` will say.
    """

    async def attached(self, pod: Document, netns: Path, addresses: tuple[str, ...]) -> None: ...

    async def detaching(self, pod: Document, netns: Path) -> None: ...


class NoHook:
    """No mesh on this node."""

    async def attached(self, pod: Document, netns: Path, addresses: tuple[str, ...]) -> None:
        return

    async def detaching(self, pod: Document, netns: Path) -> None:
        return


def named_address(pod: Document) -> str:
    """The address that the pod's annotation asks for; "" for any."""
    return str((pod["metadata"].get("annotations") or {}).get(ADDRESS, ""))


class Addresses:
    """Which pod has which address; kept in a file, so that a restarted kubelet gives none out twice."""

    def __init__(self, file: Path, network: IPv4Network) -> None:
        self._file, self._network = file, network
        self._last = _NEVER_OUT - 1
        self._taken: dict[str, IPv4Address] = {}
        self._released = asyncio.Event()
        with suppress(OSError, ValueError):
            for uid, text in json.loads(file.read_text()).items():
                if (address := IPv4Address(text)) in network:
                    self._taken[uid] = address
                    self._last = max(self._last, int(address) - int(network.network_address))

    def take(self, uid: str) -> IPv4Address:
        """The pod's address, a new one when it has none. Addresses just released come last."""
        if (known := self._taken.get(uid)) is not None:
            return known
        used = set(self._taken.values())
        size = self._network.num_addresses
        for step in range(1, size + 1):
            number = (self._last + step) % size
            address = self._network[number]
            if _NEVER_OUT <= number < size - 1 and address not in used:
                self._last = number
                self._taken[uid] = address
                self._save()
                return address
        raise LookupError(f"no address left in {self._network}: delete pods or add nodes (plait up --nodes N)")

    async def take_this(self, uid: str, wanted: str) -> IPv4Address:
        """The address a pod names; where another pod has it, as soon as that one is gone."""
        if (known := self._taken.get(uid)) is not None:
            return known
        address = self._own(wanted)
        try:
            async with asyncio.timeout(_HELD_SECONDS):
                while address in self._taken.values():
                    await self._released.wait()
        except TimeoutError:
            raise LookupError(f"annotation {ADDRESS}: another pod has {address}; delete it or name another") from None
        self._taken[uid] = address
        self._save()
        return address

    def _own(self, wanted: str) -> IPv4Address:
        first, last = self._network[_NEVER_OUT], self._network[-2]
        with suppress(ValueError):
            if first <= (address := IPv4Address(wanted)) <= last:
                return address
        raise LookupError(f"annotation {ADDRESS}: {wanted!r} is not an address of this node: say {first} to {last}")

    def release(self, uid: str) -> None:
        if self._taken.pop(uid, None) is not None:
            self._save()
            self._released.set()  # who waits goes on once; the next release is another event
            self._released = asyncio.Event()

    def known(self) -> dict[str, IPv4Address]:
        return dict(self._taken)

    def _save(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps({uid: str(address) for uid, address in self._taken.items()}))
        new.replace(self._file)


class PodNetwork:
    """The pods' networks of one node. Every method is idempotent."""

    def __init__(self, layout: Layout, plan: AddressPlan, node_name: str, node_index: int) -> None:
        self._layout = layout
        self._name = node_name
        self._node = layout.netns(node_name)
        self._plan, self._node_address = plan, plan.node(node_index)
        self.addresses = Addresses(layout.node(node_name) / "addresses.json", plan.pods(node_index))

    def namespace(self, uid: str) -> Path:
        return self._layout.pod_netns(uid)

    async def attach(self, uid: str, wanted: str = "") -> tuple[Address, ...]:
        """Make the pod's network where it is missing; the addresses stay the same for one uid."""
        address = await self.addresses.take_this(uid, wanted) if wanted else self.addresses.take(uid)
        await asyncio.to_thread(self._attach, uid, address)
        return self._plan.addresses(address)

    async def detach(self, uid: str) -> None:
        await asyncio.to_thread(self._detach, uid)
        self.addresses.release(uid)

    def _attach(self, uid: str, address: IPv4Address) -> None:
        space, port = self.namespace(uid), f"p{short(uid)}"
        complete = self._layout.pod(self._name, uid) / "attached"  # written last: half a network is made anew
        if complete.exists() and netns.exists(space) and links.exists(port, self._node):
            return
        netns.remove(space)
        links.remove(port, self._node)
        netns.create(space)
        links.veth(port, "eth0", netns=self._node, peer_netns=space)
        links.sysctl(_POD_SYSCTLS, space)
        with suppress(OSError):  # EINVAL where a user namespace does not map these groups
            links.sysctl({"ipv4/ping_group_range": "0 2147483647"}, space)
        links.up("lo", space)
        links.up("eth0", space)
        links.up(port, self._node)
        if self._plan.ipv4:
            self._attach4(space, port, address)
        if self._plan.ipv6:
            self._attach6(space, port, self._plan.beside(address))
        complete.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        complete.touch()

    def _attach4(self, space: Path, port: str, address: IPv4Address) -> None:
        links.address("eth0", address, 32, space)
        links.route(IPv4Network(f"{GATEWAY}/32"), device="eth0", netns=space)
        links.route(IPv4Network("0.0.0.0/0"), via=GATEWAY, device="eth0", netns=space, onlink=True)
        proxy = {
            f"ipv4/conf/{port}/proxy_arp": "1",
            f"ipv4/conf/{port}/rp_filter": "0",
            f"ipv4/neigh/{port}/proxy_delay": "0",  # else the first packet waits up to 0.8 s
        }
        links.sysctl(proxy, self._node)
        links.route(IPv4Network(f"{address}/32"), device=port, netns=self._node, source=self._node_address)

    def _attach6(self, space: Path, port: str, address: IPv6Address) -> None:
        links.address("eth0", address, 128, space)
        links.route(IPv6Network("::/0"), via=GATEWAY6, device="eth0", netns=space, onlink=True)
        links.address(port, GATEWAY6, 64, self._node)
        own = self._plan.beside(self._node_address)
        links.route(IPv6Network((address, 128)), device=port, netns=self._node, source=own)

    def _detach(self, uid: str) -> None:
        links.remove(f"p{short(uid)}", self._node)
        netns.remove(self.namespace(uid))
        (self._layout.pod(self._name, uid) / "attached").unlink(missing_ok=True)
