"""Changes: which hosts one L7 world differs in from another, so that a view is made anew only where it may differ."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from typing import Any

from msgspec import Struct

from plait.base.revision import differing
from plait.model.guard import guard_of
from plait.model.index import index_of
from plait.model.l7 import L7
from plait.model.mesh import Mesh, Workload
from plait.model.routes import Routing

_BY_HOST = frozenset(("routings", "services", "traffic", "instances", "peer_modes", "statuses"))
"""Fields of L7 whose parts concern certain hosts; a change of any other one concerns all."""


class Changes(Struct, frozen=True):
    """Hosts (`*.` at the front is any name under it) and services by key; of what is in neither, nothing changed."""

    hosts: frozenset[str]
    wild: tuple[str, ...]
    services: frozenset[str]
    pods: frozenset[str]
    """Uids of pods that have changed, or what is demanded of them."""
    offered: bool
    """Whether a service itself has changed: others may stand behind a waypoint now."""

    def of_hosts(self, hostnames: Set[str]) -> bool:
        """Of any of them."""
        if not self.hosts.isdisjoint(hostnames):
            return True
        return bool(self.wild) and any(name.endswith(host[1:]) for host in self.wild for name in hostnames)

    def among(self, hostnames: Collection[str]) -> set[str]:
        """Those of them that it is about."""
        found = {host for host in self.hosts if host in hostnames}
        if self.wild:
            found.update(name for name in hostnames if any(name.endswith(host[1:]) for host in self.wild))
        return found


def between(old: Mesh, new: Mesh) -> Changes | None:
    """None: everything may have changed. Equal parts of both must be the same objects (`compile` sees to that)."""
    before, after = old.l7, new.l7
    if old.settings != new.settings or _others(before) != _others(after):
        return None
    routed = [*_different(before.routings, after.routings)]
    ruled = [each.host for each in _different(before.traffic, after.traffic)]
    served = [*_different(before.services, after.services)]
    pods = {
        *differing(before.instances, after.instances),
        *differing(before.peer_modes, after.peer_modes),
        *differing(old.workloads, new.workloads),
    }
    services = {key for uid in pods for mesh in (old, new) for key in _services(mesh.workloads.get(uid))}
    if not (guard_of(before).idle and guard_of(after).idle):
        services.update(_sharing_pods({*services, *(each.key for each in served)}, new))
    hosts = {host for routing in routed for host in routing.hosts}
    hosts.update(ruled, (each.hostname for each in served), (each.alias for each in served if each.alias))
    hosts.update(l7.services[key].hostname for key in services for l7 in (before, after) if key in l7.services)
    if any(l7.instances[uid].gateway for uid in pods for l7 in (before, after) if uid in l7.instances):
        return None  # a proxy came or went: its own view, and all that goes through it
    services.update(key for routing in routed for key in _parents(routing))
    wild = tuple(host for host in hosts if host.startswith("*"))
    return Changes(frozenset(hosts), wild, frozenset(services), frozenset(pods), bool(served))


def _others(l7: L7) -> tuple[int, ...]:
    return tuple(id(getattr(l7, field)) for field in L7.__struct_fields__ if field not in _BY_HOST)


def _different(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Any]:
    """What is in one only, and both where they differ."""
    for name in differing(old, new):
        yield from (each for each in (old.get(name), new.get(name)) if each is not None)


def _parents(routing: Routing) -> Iterable[str]:
    return (parent.key for parent in routing.parents if parent.kind == "service")


def _sharing_pods(services: Iterable[str], mesh: Mesh) -> Iterator[str]:
    """Services of the same pods: what a way to a port owes depends on all that lead there (`model.guard`)."""
    return (key for each in services for pod in index_of(mesh).workloads_of(each) for key in _services(pod))


def _services(workload: Workload | None) -> Iterable[str]:
    return (membership.service for membership in workload.services) if workload is not None else ()
