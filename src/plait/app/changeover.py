"""Changeover: while the waypoint of a service comes or goes, sidecars beside it judge what does not pass it.

Their policies move to the waypoint, but clients hear of it at different moments. If the sidecars gave the policies up
at once, what still comes straight would be judged by nobody. So the waypoint is optional (see `model.guard`) from
before the first client hears of it until the last one has: a change by a mere label has no gap. Between two waypoints
there is no such order. A control plane that has just started knows of no change before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from msgspec import structs

from plait.model.guard import guarding
from plait.model.http_services import HttpService
from plait.model.index import carried, index_of
from plait.model.mesh import GatewayAddress, Mesh, Workload

LATER: Final = 2.0
"""Seconds after which clients are told: sidecars hear through their node's agent, which may be busy."""
SECONDS: Final = 5.0
"""After that, until every client has heard."""


class _Change(NamedTuple):
    before: str
    """Gateway ("ns/name") of the waypoint, "" none; and its address, as clients know it."""
    address: GatewayAddress | None
    optional: str
    began: float


class Changeover:
    """What is told, of all that was compiled."""

    def __init__(self) -> None:
        self._last: Mesh | None = None
        self._changes: dict[str, _Change] = {}
        self._now = 0.0

    def told(self, mesh: Mesh, now: float) -> Mesh:
        """`mesh`, but for services that are in the middle of it and the sidecars beside them."""
        self._note(mesh, now)
        self._last, self._now = mesh, now
        if not self._changes:
            return mesh
        services = {
            key: structs.replace(mesh.services[key], waypoint=each.address)
            for key, each in self._changes.items()
            if now < each.began + LATER and key in mesh.services
        }
        l7 = structs.replace(mesh.l7, services={**mesh.l7.services, **self._l7(mesh, now)})
        made = structs.replace(
            mesh,
            l7=l7,
            services={**mesh.services, **services},
            workloads={**mesh.workloads, **self._workloads(mesh)},
        )
        carried(mesh, made)
        return made

    @property
    def ends(self) -> float | None:
        """When there will be something else to tell, though nothing changes."""
        moments = (at for each in self._changes.values() for at in (each.began + LATER, _end(each)) if at > self._now)
        return min(moments, default=None)

    def _note(self, mesh: Mesh, now: float) -> None:
        kept = {key: each for key, each in self._changes.items() if now < _end(each) and key in mesh.l7.services}
        last = self._last.l7.services if self._last is not None else {}
        if last is not mesh.l7.services:
            for key, service in mesh.l7.services.items():
                before = last.get(key)
                if before is None or before is service or before.waypoint == service.waypoint:
                    continue
                if before.optional_waypoint == (before.waypoint or service.waypoint):
                    continue  # somebody made it optional long ago: clients may be told at once
                if not (before.waypoint and service.waypoint) and _beside(mesh, service):
                    kept[key] = self._begun(kept.get(key), before, service, now)
        self._changes = kept

    def _begun(self, under_way: _Change | None, before: HttpService, service: HttpService, now: float) -> _Change:
        optional = before.waypoint or service.waypoint
        if under_way is not None and now < under_way.began + LATER:  # clients know nothing of the one before
            return _Change(under_way.before, under_way.address, optional, now)
        known = self._last.services.get(before.key) if self._last is not None else None
        return _Change(before.waypoint, known.waypoint if known is not None else None, optional, now)

    def _l7(self, mesh: Mesh, now: float) -> Mapping[str, HttpService]:
        return {
            key: structs.replace(
                service,
                waypoint=each.before if now < each.began + LATER else service.waypoint,
                optional_waypoint=service.optional_waypoint or each.optional,
            )
            for key, each in self._changes.items()
            if (service := mesh.l7.services.get(key)) is not None
        }

    def _workloads(self, mesh: Mesh) -> Mapping[str, Workload]:
        """Sidecars without the guards that would refuse what does not pass the waypoint."""
        found: dict[str, Workload] = {}
        for key in self._changes:
            for workload in index_of(mesh).workloads_of(key):
                guards = set(guarding(workload.policies))
                if guards and mesh.l7.instances[workload.uid].mode == "sidecar":
                    kept = tuple(name for name in workload.policies if name not in guards)
                    found[workload.uid] = structs.replace(workload, policies=kept)
        return found


def _end(change: _Change) -> float:
    return change.began + LATER + SECONDS


def _beside(mesh: Mesh, service: HttpService) -> bool:
    """Do sidecars serve it?"""
    serving = (mesh.l7.instances.get(each.uid) for each in index_of(mesh).workloads_of(service.key))
    return any(instance is not None and instance.mode == "sidecar" for instance in serving)
