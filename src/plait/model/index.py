"""Index: who owns an address, who backs a service, which policies a namespace has.

Everything in it follows from the Mesh; it decides nothing. `index_of` keeps it beside the Mesh it describes and
makes it by patching the one before.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from plait.model.grouping import Groups, regrouped
from plait.model.mesh import Mesh, Service, Workload
from plait.model.policies import Policy


class Index(Struct, frozen=True, eq=False):
    """Lookups by secondary key."""

    mesh: Mesh
    by_address: Groups[Workload]
    """By `<network>/<ip>`; several only for host-network pods, and endpoints nobody knows more of."""
    services_by_address: Groups[Service]
    by_hostname: Groups[Service]
    """By host (a wildcard as written, `*.example.com`)."""
    members: Groups[Workload]
    """By service key."""
    policies: Groups[Policy]
    """By namespace ("" for mesh-wide), without workload-scoped ones."""

    def workload(self, address: str, network: str = "") -> Workload | None:
        """The one workload that owns this address; None when nobody does or several share it.

        Who shares the address of somebody else's network takes it from nobody who has it alone.
        """
        owners = self.by_address.get(f"{network}/{address}", ())
        if len(owners) > 1:
            owners = tuple(owner for owner in owners if not owner.host_network)
        return owners[0] if len(owners) == 1 else None

    def service(self, address: str, network: str = "") -> Service | None:
        """The service of this address; of several (ServiceEntries may overlap) the canonical one, then by key."""
        owners = self.services_by_address.get(f"{network}/{address}")
        return min(owners, key=lambda s: (not s.canonical, s.key)) if owners else None

    def workloads_of(self, service: str) -> Iterable[Workload]:
        return self.members.get(service, ())


def index_of(mesh: Mesh, previous: Index | None = None) -> Index:
    """The index of this Mesh; `previous` (of an earlier Mesh) makes it cost only what changed."""
    kept = mesh.__dict__.get("index")
    if isinstance(kept, Index):
        return kept
    before = previous or Index(Mesh(), {}, {}, {}, {}, {})
    old = before.mesh
    index = Index(
        mesh,
        regrouped(before.by_address, old.workloads, mesh.workloads, _addresses, _uid),
        regrouped(before.services_by_address, old.services, mesh.services, _service_addresses, _key),
        regrouped(before.by_hostname, old.services, mesh.services, lambda service: (service.hostname.lower(),), _key),
        regrouped(before.members, old.workloads, mesh.workloads, _services, _uid),
        regrouped(before.policies, old.policies, mesh.policies, _reach, _key),
    )
    mesh.__dict__["index"] = index  # a cache, not part of the value
    return index


def carried(old: Mesh, new: Mesh) -> None:
    """If the old Mesh was looked up in, the new one will be: make its index of the old one, which is cheap now."""
    kept = old.__dict__.get("index")
    if isinstance(kept, Index):
        index_of(new, kept)


def _uid(workload: Workload) -> str:
    return workload.uid


def _key(each: Service | Policy) -> str:
    return each.key


def _addresses(workload: Workload) -> Iterable[str]:
    return {f"{workload.network}/{address}" for address in workload.addresses}


def _service_addresses(service: Service) -> Iterable[str]:
    return {address.key for address in service.addresses}


def _services(workload: Workload) -> Iterable[str]:
    return {membership.service for membership in workload.services}


def _reach(policy: Policy) -> Iterable[str]:
    match policy.scope:
        case "workload":
            return ()
        case "namespace":
            return (policy.namespace,)
        case _:
            return ("",)
