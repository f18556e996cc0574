"""Arming: while a waypoint with policies comes before a service, or goes, guards stand only when all know the way.

A guard at the server's node refuses whoever does not come through the waypoint. Nodes hear at different moments. So a
guard that comes together with its way waits until the clients' nodes have heard of the way, and a way that goes
together with its guard stays until the servers' nodes have dropped the guard. Meanwhile the service is as open as it
was before, or is about to be. Any other guard (a policy is attached where the way is known) stands at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from msgspec import structs

from plait.model.guard import guarding
from plait.model.index import carried
from plait.model.mesh import Mesh, Service, Workload

SECONDS: Final = 1.0
"""Ten times what 99 of 100 changes need to every proxy."""
_Reached = TypeVar("_Reached", Service, Workload)


class Arming:
    """What is told, of all that was compiled."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._last: Mesh | None = None
        self._since: dict[str, float] = {}
        """Service or workload -> when its present way was first told; only recent ones."""
        self._staying: dict[str, float] = {}
        """Service -> until when it keeps a way that has gone."""
        self._waiting: set[str] = set()
        """New ways for which a guard waits."""

    def told(self, mesh: Mesh, now: float) -> Mesh:
        """What to tell now: `mesh`, but for guards that wait and ways that stay."""
        last, self._waiting = self._last, set()
        made = mesh
        if last is not None and (self._staying or _guards(last) or _guards(mesh)):
            staying = self._stay(last, mesh, now)
            self._note(last.services, {**mesh.services, **staying}, now)
            self._note(last.workloads, mesh.workloads, now)
            made = _replaced(mesh, last, staying, self._wait(last, mesh.workloads))
        self._last = made
        return made

    @property
    def ends(self) -> float | None:
        """When there will be something else to tell, though nothing changes."""
        waiting = (self._since[key] + self._seconds for key in self._waiting)
        return min((*waiting, *self._staying.values()), default=None)

    def _stay(self, last: Mesh, mesh: Mesh, now: float) -> dict[str, Service]:
        """Services that keep the way they had."""
        gone = {
            key: before
            for key, before in last.services.items()
            if before.waypoint is not None
            and (service := mesh.services.get(key)) is not None
            and service.waypoint is None
            and (not before.waypoint.service or before.waypoint.service in mesh.services)
        }
        if not gone:
            self._staying = {}
            return {}
        opened, guarded = _changed(last.workloads, mesh.workloads)
        until = {
            key: self._staying.get(key, now + self._seconds)
            for key in gone
            if key not in guarded and (key in opened or key in self._staying)
        }
        self._staying = {key: ends for key, ends in until.items() if ends > now}
        return {key: structs.replace(mesh.services[key], waypoint=gone[key].waypoint) for key in self._staying}

    def _note(self, last: Mapping[str, _Reached], new: Mapping[str, _Reached], now: float) -> None:
        """When ways that are new were told first."""
        self._since = {key: at for key, at in self._since.items() if at + self._seconds > now}
        for key, each in new.items():
            before = last.get(key)
            if before is not None and before is not each and each.waypoint not in (None, before.waypoint):
                self._since[key] = now

    def _wait(self, last: Mesh, workloads: Mapping[str, Workload]) -> dict[str, Workload]:
        """Workloads whose guards wait, without them."""
        found: dict[str, Workload] = {}
        for uid, workload in workloads.items() if self._since else ():
            recent = self._since.keys() & {uid, *(member.service for member in workload.services)}
            before = last.workloads.get(uid)
            if not recent or before is None or guarding(before.policies):
                continue
            if guards := set(guarding(workload.policies)):
                kept = tuple(name for name in workload.policies if name not in guards)
                found[uid] = structs.replace(workload, policies=kept)
                self._waiting |= recent
        return found


def _guards(mesh: Mesh) -> bool:
    return bool(guarding(mesh.policies))


def _changed(last: Mapping[str, Workload], new: Mapping[str, Workload]) -> tuple[set[str], set[str]]:
    """Services of workloads that lose all their guards, and of those that keep or change some."""
    opened: set[str] = set()
    guarded: set[str] = set()
    for uid, before in last.items():
        workload = new.get(uid)
        if workload is not None and guarding(before.policies):
            (guarded if guarding(workload.policies) else opened).update(m.service for m in workload.services)
    return opened, guarded


def _replaced(mesh: Mesh, last: Mesh, staying: Mapping[str, Service], waiting: Mapping[str, Workload]) -> Mesh:
    if not staying and not waiting:
        return mesh
    ways = {key: last.l7.services[key] for key in staying if key in last.l7.services}
    made = structs.replace(
        mesh,
        services={**mesh.services, **staying} if staying else mesh.services,
        workloads={**mesh.workloads, **waiting} if waiting else mesh.workloads,
        l7=structs.replace(mesh.l7, services={**mesh.l7.services, **ways}) if ways else mesh.l7,
    )
    carried(last, made)
    return made
