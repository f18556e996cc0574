"""NodeView: the whole input of translating one node's L4 proxy. project(mesh, node) -> NodeView.

What a node proxy carries: its local pods with the policies that bind them, and the answer to "who is behind ip:port".
It holds the Mesh, so destinations are looked up when a first flow asks; equal worlds give equal answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Literal

from msgspec import Struct

from plait.model.index import Index, index_of
from plait.model.mesh import Locality, Mesh
from plait.model.policies import Policy
from plait.model.views import bindings, destinations
from plait.model.views.destinations import Destination, Origin, Peer


class PodState(Struct, frozen=True, gc=False):
    """One captured pod as its node sees it. `uid` is the Kubernetes UID, `netns` the path of its network namespace."""

    uid: str
    namespace: str
    name: str
    service_account: str
    addresses: tuple[str, ...]
    netns: str


class NodeState(Struct, frozen=True, gc=False):
    """What only the node knows: its name and the pods that run (and are captured) on it."""

    name: str
    pods: tuple[PodState, ...] = ()


class LocalPod(Struct, frozen=True, gc=False):
    """One captured pod with everything its three listeners need."""

    uid: str
    namespace: str
    name: str
    service_account: str
    identity: str
    """Its SPIFFE URI, which is also the name of its certificate."""
    addresses: tuple[str, ...]
    netns: str
    peer: Peer
    """Telemetry labels of this pod when it is a source or a destination."""
    policies: tuple[Policy, ...]
    """Effective inbound policies, DENY before ALLOW, then by name; dry-run ones included (look at `dry_run`)."""
    strict: bool
    """Plaintext is refused on every port. Port-level rules stand in `policies` as DENY with not_principals presence."""
    known: bool
    """False until the control plane has described this pod: its attached policies are unknown, so nobody may enter."""


Families = Literal["ipv4", "ipv6", "dual"]


class NodeView(Struct, frozen=True):
    """Compare `local`, `ranges` and single destinations: comparing whole views compares whole meshes."""

    node: str
    trust_domain: str
    ranges: tuple[str, ...]
    """CIDRs whose addresses are looked up on demand; everything else passes through, except `beyond`."""
    local: tuple[LocalPod, ...]
    mesh: Mesh
    origin: Origin = Origin()
    """Where this node is, for locality preference."""
    beyond: tuple[str, ...] = ()
    """Addresses of services that lie outside the ranges: what ServiceEntries state."""

    @property
    def index(self) -> Index:
        return index_of(self.mesh)

    @property
    def families(self) -> Families:
        """Of which families there may be addresses here. Of a running node the ranges say so, which never change."""
        if self.ranges and all(":" in each for each in self.ranges):
            return "ipv6"
        known = (*self.ranges, *(a for pod in self.local for a in pod.addresses))
        return "dual" if any(":" in each for each in known) else "ipv4"

    @property
    def dual(self) -> bool:
        """May there be addresses of IPv6 here?"""
        return self.families != "ipv4"

    def destination(self, address: str, port: int) -> Destination:
        """Who is behind this original destination. Never fails: what nobody knows is kind `unknown`."""
        return destinations.find(self.mesh, self.index, address, port, self.origin)

    def destinations(self) -> Iterator[tuple[str, int]]:
        """Every (address, port) of a known service: what a small mesh pushes early. No workload addresses."""
        return destinations.listed(self.mesh)


def project(mesh: Mesh, node: NodeState, previous: NodeView | None = None) -> NodeView:
    """The part of the mesh one node proxy carries; equal local pods of `previous` come back as they were."""
    index = index_of(mesh, previous.index if previous is not None else None)
    kept = {pod: pod for pod in previous.local} if previous is not None else {}
    ordered = sorted(node.pods, key=lambda p: (p.namespace, p.name, p.uid))
    local = tuple(kept.get(pod, pod) for pod in (_local(mesh, index, state) for state in ordered))
    settings = mesh.settings
    locality = next((w.locality for w in mesh.workloads.values() if w.node == node.name and w.locality), Locality())
    origin = Origin(node.name, settings.network, settings.cluster_id, locality)
    beyond = _beyond(mesh, previous)
    return NodeView(node.name, settings.trust_domain, settings.ranges, local, mesh, origin, beyond)


def _beyond(mesh: Mesh, previous: NodeView | None) -> tuple[str, ...]:
    ranges = mesh.settings.ranges
    if previous is not None and previous.mesh.services is mesh.services and previous.ranges == ranges:
        return previous.beyond
    dual = any(":" in block for block in ranges)
    found = {
        address.address
        for service in mesh.services.values()
        for address in service.addresses
        if address.length is None and (dual or ":" not in address.address) and _outside(address.address, ranges)
    }
    return tuple(sorted(found))


@lru_cache(maxsize=65536)
def _outside(address: str, ranges: tuple[str, ...]) -> bool:
    return bool(ranges) and not any(ip_address(address) in ip_network(block) for block in ranges)


def _local(mesh: Mesh, index: Index, pod: PodState) -> LocalPod:
    workload = mesh.workloads.get(f"{mesh.settings.cluster_id}//Pod/{pod.namespace}/{pod.name}")
    if workload is None:
        workload = next((w for a in pod.addresses if (w := index.workload(a)) is not None), None)
    if workload is not None and (workload.namespace, workload.service_account) != (pod.namespace, pod.service_account):
        workload = None  # another pod of that name or address: the description is stale
    policies = bindings.effective(mesh, index, pod.namespace, workload.policies if workload else ())
    peer = destinations.peer_of(workload) if workload else Peer(namespace=pod.namespace, pod=pod.name)
    domain = workload.trust_domain if workload else mesh.settings.trust_domain
    return LocalPod(
        uid=pod.uid,
        namespace=pod.namespace,
        name=pod.name,
        service_account=pod.service_account,
        identity=f"spiffe://{domain}/ns/{pod.namespace}/sa/{pod.service_account}",
        addresses=pod.addresses,
        netns=pod.netns,
        peer=peer,
        policies=policies,
        strict=any(bindings.refuses_plaintext(policy) for policy in policies),
        known=workload is not None,
    )
