"""Index: who owns an address, who backs a service, which policies a namespace has.

Everything in it follows from the Mesh; it decides nothing. `index_of` keeps it beside the Mesh it describes and
makes it by patching the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from msgspec import Struct

from plait.model.mesh import Mesh, Service, Workload
from plait.model.policies import Policy

T = TypeVar("T")
Owners = dict[str, dict[str, T]]


class Index(Struct, frozen=True, eq=False):
    """Lookups by secondary key. The inner dicts are shared between indexes and never changed in place."""

    mesh: Mesh
    by_address: Owners[Workload]
    """`<network>/<ip>` -> uid -> workload; several only for host-network pods."""
    services_by_address: Owners[Service]
    by_hostname: Owners[Service]
    """Host (a wildcard as written, `*.example.com`) -> key -> service."""
    members: Owners[Workload]
    """Service key -> uid -> workload."""
    policies: Owners[Policy]
    """Namespace ("" for mesh-wide) -> key -> policy, without workload-scoped ones."""

    def workload(self, address: str, network: str = "") -> Workload | None:
        """The one workload that owns this address; None when nobody does or several share it."""
        owners = self.by_address.get(f"{network}/{address}", {})
        return next(iter(owners.values())) if len(owners) == 1 else None

    def service(self, address: str, network: str = "") -> Service | None:
        """The service of this address; of several (ServiceEntries may overlap) the canonical one, then by key."""
        owners = self.services_by_address.get(f"{network}/{address}")
        return min(owners.values(), key=lambda s: (not s.canonical, s.key)) if owners else None

    def workloads_of(self, service: str) -> Iterable[Workload]:
        return self.members.get(service, {}).values()


def index_of(mesh: Mesh, previous: Index | None = None) -> Index:
    """The index of this Mesh; `previous` (of an earlier Mesh) makes it cost only what changed."""
    kept = mesh.__dict__.get("index")
    if isinstance(kept, Index):
        return kept
    before = previous or Index(Mesh(), {}, {}, {}, {}, {})
    old = before.mesh
    index = Index(
        mesh,
        _patched(before.by_address, old.workloads, mesh.workloads, _addresses),
        _patched(before.services_by_address, old.services, mesh.services, _service_addresses),
        _patched(before.by_hostname, old.services, mesh.services, lambda service: (service.hostname.lower(),)),
        _patched(before.members, old.workloads, mesh.workloads, _services),
        _patched(before.policies, old.policies, mesh.policies, _reach),
    )
    mesh.__dict__["index"] = index  # a cache, not part of the value
    return index


def carried(old: Mesh, new: Mesh) -> None:
    """If the old Mesh was looked up in, the new one will be: make its index of the old one, which is cheap now."""
    kept = old.__dict__.get("index")
    if isinstance(kept, Index):
        index_of(new, kept)


def _patched(
    owners: Owners[T], old: Mapping[str, T], new: Mapping[str, T], keys_of: Callable[[T], Iterable[str]]
) -> Owners[T]:
    if old is new:
        return owners
    result: Owners[T] = dict(owners)
    fresh: set[str] = set()  # inner dicts that are already ours to change

    def inner(key: str) -> dict[str, T]:
        if key not in fresh:
            fresh.add(key)
            result[key] = dict(result.get(key, {}))
        return result[key]

    for name, value in old.items():
        if new.get(name) is not value:
            for key in keys_of(value):
                inner(key).pop(name, None)
    for name, value in new.items():
        if old.get(name) is not value:
            for key in keys_of(value):
                inner(key)[name] = value
    for key in fresh:
        if not result[key]:
            del result[key]
    return result


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
