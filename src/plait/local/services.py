"""Service addresses on one node (kube-proxy's role): Services and EndpointSlices to an iptables-restore input.

`rules` is pure and describes all of our chains, so applying it twice is applying it once. Traffic that a node proxy has
captured goes straight to pod addresses and never meets these rules. Each family has tables of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import ip_address
from typing import Any

from plait.local.addresses import IPV4, Address, AddressPlan, Network

Document = Mapping[str, Any]
PREFIX = "PLAIT-"
SERVICES, NODE_PORTS, POST, REJECTED = "PLAIT-SERVICES", "PLAIT-NODEPORTS", "PLAIT-POSTROUTING", "PLAIT-REJECT"
JUMPS: tuple[tuple[str, str, str], ...] = (  # table, built-in chain, our chain
    ("nat", "PREROUTING", SERVICES),
    ("nat", "OUTPUT", SERVICES),
    ("nat", "POSTROUTING", POST),
    ("filter", "FORWARD", REJECTED),
    ("filter", "OUTPUT", REJECTED),
    ("filter", "INPUT", REJECTED),
)
_AFFINITY_SECONDS = 10800
SLICE_SERVICE = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True, order=True)
class Target:
    address: Address
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}" if self.address.version == 4 else f"[{self.address}]:{self.port}"


@dataclass(frozen=True, slots=True)
class Port:
    """One port of one service: where it is reached, and who answers on this node."""

    name: str  # namespace/service:port, for comments and chain names
    protocol: str  # tcp, udp or sctp
    port: int
    inside: tuple[Address, ...]  # cluster addresses
    outside: tuple[Address, ...]  # load balancer and external addresses
    node_port: int
    affinity: int  # seconds; 0: none
    targets: tuple[Target, ...]  # for connections from inside
    outside_targets: tuple[Target, ...]


def rules(
    services: Iterable[Document], slices: Iterable[Document], *, node: int, plan: AddressPlan, family: str = IPV4
) -> str:
    """The input of iptables-restore or ip6tables-restore (for --noflush) of node number `node`."""
    local = plan.pods(node) if family == IPV4 else plan.range_beside(plan.pods(node))
    return _text(sorted(ports(services, slices, local), key=lambda p: (p.name, p.protocol)), local)


def ports(services: Iterable[Document], slices: Iterable[Document], local: Network) -> Iterator[Port]:
    """Every port in the family of `local`, the node's own pods' range."""
    version = local.version
    by_service: dict[tuple[str, str], list[Document]] = defaultdict(list)
    for one in slices:
        metadata = one["metadata"]
        name = (metadata.get("labels") or {}).get(SLICE_SERVICE)
        if name and one.get("addressType", IPV4) == f"IPv{version}":
            by_service[metadata["namespace"], name].append(one)
    for service in services:
        metadata, spec = service["metadata"], service.get("spec") or {}
        if spec.get("type") == "ExternalName" or spec.get("clusterIP", "None") in ("None", ""):
            continue
        key = metadata["namespace"], metadata["name"]
        inside = tuple(_addresses(spec.get("clusterIPs") or [spec["clusterIP"]], version))
        ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        balancers = [entry.get("ip", "") for entry in ingress if entry.get("ipMode", "VIP") == "VIP"]
        outside = tuple(_addresses([*balancers, *(spec.get("externalIPs") or ())], version))
        for port in spec.get("ports") or ():
            found = targets(by_service[key], port.get("name", ""), port.get("protocol", "TCP"), version)
            near = tuple(t for t in found if t.address in local)
            yield Port(
                name=f"{key[0]}/{key[1]}:{port.get('name') or port['port']}",
                protocol=port.get("protocol", "TCP").lower(),
                port=int(port["port"]),
                inside=inside,
                outside=outside,
                node_port=int(port.get("nodePort") or 0),
                affinity=_affinity(spec),
                targets=near if spec.get("internalTrafficPolicy") == "Local" else found,
                outside_targets=near if spec.get("externalTrafficPolicy") == "Local" else found,
            )


def targets(slices: Iterable[Document], name: str, protocol: str, version: int) -> tuple[Target, ...]:
    """Ready endpoints of a port; when there is none, those that are going away and still serve."""
    ready: set[Target] = set()
    leaving: set[Target] = set()
    for one in slices:
        numbers = [
            int(port["port"])
            for port in one.get("ports") or ()
            if port.get("port") and (port.get("name") or "") == name and port.get("protocol", "TCP") == protocol
        ]
        for endpoint in one.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            # A condition that is absent (or null) means ready: the API says so of slices made by others.
            side = ready if conditions.get("ready") in (True, None) else leaving
            if side is leaving and not (conditions.get("serving") and conditions.get("terminating")):
                continue
            for address in list(_addresses(endpoint.get("addresses") or (), version))[:1]:
                side.update(Target(address, number) for number in numbers)
    return tuple(sorted(ready or leaving))


def _addresses(texts: Iterable[str], version: int) -> Iterator[Address]:
    for text in texts:
        try:
            address = ip_address(text)
        except ValueError:
            continue
        if address.version == version:  # else it is for the other family's tables
            yield address


def _affinity(spec: Document) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    client = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(client.get("timeoutSeconds") or _AFFINITY_SECONDS)


def _chain(role: str, *words: object) -> str:
    """At most 28 characters is what the kernel allows."""
    return f"{PREFIX}{role}-{blake2b(repr(words).encode(), digest_size=8).hexdigest()}"


def _text(all_ports: Sequence[Port], local: Network) -> str:
    length, unreachable = (
        local.max_prefixlen,
        "icmp-port-unreachable" if local.version == 4 else "icmp6-port-unreachable",
    )
    chains = [SERVICES, NODE_PORTS, POST]
    first: list[str] = []
    bodies: list[str] = []
    refused: list[str] = []
    for port in all_ports:
        kinds = (("SVC", port.inside, port.targets), ("EXT", port.outside, port.outside_targets))
        for role, addresses, found in kinds:
            node_port = port.node_port if role == "EXT" else 0
            match = f"-p {port.protocol} -m {port.protocol}"
            if not found:
                refused += [
                    _reject(f"-d {address}/{length} {match} --dport {port.port}", port, unreachable)
                    for address in addresses
                ]
                if node_port:
                    refused.append(
                        _reject(f"-m addrtype --dst-type LOCAL {match} --dport {node_port}", port, unreachable)
                    )
                continue
            if not addresses and not node_port:
                continue
            chain = _chain(role, port.name, port.protocol)
            more, lines = _balance(chain, port, found)
            chains += [chain, *more]
            bodies += lines
            first += [
                f"-A {SERVICES} -d {address}/{length} {match} --dport {port.port} {_comment(port)} -j {chain}"
                for address in addresses
            ]
            if node_port:
                bodies.append(f"-A {NODE_PORTS} {match} --dport {node_port} {_comment(port)} -j {chain}")
    first.append(f"-A {SERVICES} -m addrtype --dst-type LOCAL -j {NODE_PORTS}")
    every = {target.address for port in all_ports for target in (*port.targets, *port.outside_targets)}
    # A pod that reaches itself through a service would see its own address as the peer, and drop the packet.
    post = [f"-A {POST} -s {a}/{length} -d {a}/{length} -j MASQUERADE" for a in sorted(every) if a in local]
    # What came from elsewhere and goes to another node must come back through here to be translated back.
    post.append(f"-A {POST} ! -s {local} ! -d {local} -m conntrack --ctstate DNAT -j MASQUERADE")
    nat = ["*nat", *(f":{chain} - [0:0]" for chain in chains), *first, *bodies, *post, "COMMIT"]
    return "\n".join([*nat, "*filter", f":{REJECTED} - [0:0]", *refused, "COMMIT", ""])


def _balance(chain: str, port: Port, found: Sequence[Target]) -> tuple[list[str], list[str]]:
    """Further chains, and the rules that pick one target with equal chances."""
    if not port.affinity:
        return [], [
            f"-A {chain} -p {port.protocol} {_chance(len(found) - i)}-j DNAT --to-destination {target}"
            for i, target in enumerate(found)
        ]
    picked = [_chain("SEP", chain, str(target)) for target in found]
    lines = [f"-A {chain} -m recent --name {sep} --rcheck --seconds {port.affinity} --reap -j {sep}" for sep in picked]
    for i, (sep, target) in enumerate(zip(picked, found, strict=True)):
        lines.append(f"-A {chain} {_chance(len(found) - i)}-j {sep}")
        lines.append(f"-A {sep} -p {port.protocol} -m recent --name {sep} --set -j DNAT --to-destination {target}")
    return picked, lines


def _chance(left: int) -> str:
    return f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""


def _comment(port: Port) -> str:
    return f'-m comment --comment "{port.name}"'


def _reject(match: str, port: Port, how: str) -> str:
    return f"-A {REJECTED} {match} {_comment(port)} -j REJECT --reject-with {how}"
