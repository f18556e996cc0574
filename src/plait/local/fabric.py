"""The wires of one local mesh: a fabric namespace with a bridge, a namespace a node, routes between their pods.

As root one veth pair joins the host to the bridge, so that LoadBalancer, pod and service addresses can be reached
from the host. Pods are attached to their node by `pod.network`; this file never sees them.
"""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path

from plait.base import netns
from plait.local import links
from plait.local.addresses import AddressPlan
from plait.local.layout import Layout

BRIDGE = "br0"
_FORWARDING6 = {"ipv6/conf/all/forwarding": "1"}


def host_link(plan: AddressPlan) -> str:
    """Name of the host's end of the veth pair into the fabric."""
    return f"plait{plan.index}"


def node_port(number: int) -> str:
    """The bridge's port of one node: all that node sends to or gets from others passes it."""
    return f"node{number}"


def build(layout: Layout, plan: AddressPlan, nodes: tuple[str, ...], *, join_host: bool) -> None:
    """Create every namespace and link; a leftover of the same name is replaced. Blocking, under 200 ms."""
    plan = plan.wires
    fabric = layout.netns("fab")
    _fresh(fabric)
    links.bridge(BRIDGE, fabric)
    _address(plan, BRIDGE, plan.control, fabric)
    links.sysctl({"ipv4/ip_forward": "1", **_FORWARDING6} if plan.ipv6 else {"ipv4/ip_forward": "1"}, fabric)
    for number, node in enumerate(nodes, start=1):
        _build_node(layout, plan, node, number)
    for number, node in enumerate(nodes, start=1):
        _route_to_pods(layout, plan, number, fabric)
        for other in nodes:
            if other != node:
                _route_to_pods(layout, plan, number, layout.netns(other))
    # Service and LoadBalancer addresses are virtual: the first node's service proxy answers for those outside pods.
    for virtual in (plan.services, plan.load_balancers):
        _route(plan, virtual, plan.node(1), fabric)
    if join_host:
        _join_host(plan, fabric)


def _build_node(layout: Layout, plan: AddressPlan, node: str, number: int) -> None:
    space = layout.netns(node)
    fabric = layout.netns("fab")
    _fresh(space)
    port = node_port(number)
    links.veth("eth0", port, netns=space, peer_netns=fabric)
    links.up(port, fabric, master=BRIDGE)
    links.up("eth0", space)
    _address(plan, "eth0", plan.node(number), space)
    links.route(IPv4Network("0.0.0.0/0"), via=plan.control, netns=space)
    links.sysctl({"ipv4/ip_forward": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0"}, space)
    if plan.ipv6:
        links.route(IPv6Network("::/0"), via=plan.beside(plan.control), netns=space)
        links.sysctl(_FORWARDING6, space)


def _address(plan: AddressPlan, device: str, address: IPv4Address, space: Path | None) -> None:
    """An address of the bridge's range, in every family of the mesh."""
    for own, network in zip(plan.addresses(address), plan.each(plan.fabric), strict=True):
        links.address(device, own, network.prefixlen, space)


def _route(
    plan: AddressPlan, to: IPv4Network, via: IPv4Address, space: Path | None, source: IPv4Address | None = None
) -> None:
    """A route to a range, in every family of the mesh."""
    sources = plan.addresses(source) if source is not None else (None, None)
    for network, gateway, own in zip(plan.each(to), plan.addresses(via), sources, strict=False):
        links.route(network, via=gateway, netns=space, source=own)


def _route_to_pods(layout: Layout, plan: AddressPlan, number: int, space: Path) -> None:
    _route(plan, plan.pods(number), plan.node(number), space)


def _join_host(plan: AddressPlan, fabric: Path) -> None:
    name = host_link(plan)
    links.remove(name)
    links.veth(name, "host", peer_netns=fabric)
    links.up("host", fabric, master=BRIDGE)
    links.up(name)
    _address(plan, name, plan.host, None)
    for network in (IPv4Network(f"10.{plan.index}.0.0/17"), plan.services, plan.load_balancers):
        _route(plan, network, plan.control, None, plan.host)


def _fresh(path: Path) -> None:
    netns.remove(path)
    netns.create(path)
    links.up("lo", path)


def remains(name: str) -> list[Path]:
    """Namespace files of the mesh `name` that still exist. They are root's: a mesh of another user has none here."""
    if os.geteuid() != 0:
        return []
    layout = Layout.of(name)
    directory = layout.netns("").parent
    return sorted(filter(layout.is_netns, directory.iterdir())) if directory.is_dir() else []


def remove(name: str, plan: AddressPlan) -> None:
    """Take every namespace of the mesh and the host link away; idempotent."""
    for path in remains(name):
        netns.remove(path)
    links.remove(host_link(plan))


def taken_indexes() -> set[int]:
    """Second octets of 10.0.0.0/8 that some interface or route of this host already uses."""
    used: set[int] = set()
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        destination = int(line.split()[1], 16)  # little-endian hex
        if destination & 0xFF == 10:
            used.add(destination >> 8 & 0xFF)
    return used
