"""Arming: while a waypoint comes before a service, or goes, each part of the mesh hears of it when the next one has.

First the waypoint itself: the way is told to nodes when its proxies have acknowledged the service. Then the clients'
nodes: a guard (which refuses whoever does not come through the waypoint) that comes with its way waits a second. And a
way that goes together with its guard stays a second, until the servers' nodes have dropped the guard. Meanwhile the
service is as open as it was before, or is about to be. Any other guard (a policy attached where the way is known)
stands at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, TypeVar

from msgspec import structs

from plait.model.guard import guarding
from plait.model.index import carried
from plait.model.mesh import Mesh, Service, Workload

SECONDS: Final = 1.0
"""Ten times what 99 of 100 changes need to every proxy."""
LONGEST: Final = 1.0
"""Seconds that a waypoint has to acknowledge a service."""
_POLL, _GRACE = 0.05, 0.25
"""Who acknowledges is its node agent; Envoy itself needs a little longer."""
_Reached = TypeVar("_Reached", Service, Workload)


class _Lead(NamedTuple):
    """A waypoint that is to know a service: since when, and when it acknowledged."""

    began: float
    heard: float
    next: float
    """When to look again."""

    def after(self, now: float, heard: bool) -> _Lead:
        if self.heard <= now:
            return self
        if heard or now >= self.began + LONGEST:
            return _Lead(self.began, now, now + _GRACE)
        return _Lead(self.began, math.inf, now + _POLL)


def _begun(now: float) -> _Lead:
    """What was acknowledged before now was something else."""
    return _Lead(now, math.inf, now + _POLL)


class Arming:
    """What is told, of all that was compiled."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._last: Mesh | None = None
        self._since: dict[str, float] = {}
        """Service or workload -> when its present way was first told; only recent ones."""
        self._leading: dict[str, _Lead] = {}
        """Service -> since when its waypoint is to know it, and when nodes may."""
        self._staying: dict[str, float] = {}
        """Service -> until when it keeps a way that has gone."""
        self._leaving: dict[str, float] = {}
        """Service -> until when its waypoint serves it, though nodes were told to go straight."""
        self._waiting: set[str] = set()
        """New ways for which a guard waits."""

    def told(self, mesh: Mesh, now: float, heard: Callable[[str], bool] = lambda waypoint: True) -> Mesh:
        """What to tell now: `mesh`, but for what waits or stays. `heard`: has this waypoint ("ns/name") acknowledged
        what it was told?"""
        last, self._waiting = self._last, set()
        made = mesh
        if last is not None:
            staying = self._stay(last, mesh, now)
            services = {**staying, **self._lead(last, mesh, now, heard)}
            self._note(last.services, {**mesh.services, **services}, now)
            self._note(last.workloads, mesh.workloads, now)
            self._leave(last, mesh, services, now)
            kept = staying.keys() | self._leaving.keys()
            made = _replaced(mesh, last, services, kept, self._wait(last, mesh.workloads))
        self._last = made
        return made

    @property
    def ends(self) -> float | None:
        """When there will be something else to tell, though nothing changes; or when to look again."""
        waiting = (self._since[key] + self._seconds for key in self._waiting)
        return min(
            (
                *waiting,
                *self._staying.values(),
                *self._leaving.values(),
                *(lead.next for lead in self._leading.values()),
            ),
            default=None,
        )

    def _lead(self, last: Mesh, mesh: Mesh, now: float, heard: Callable[[str], bool]) -> dict[str, Service]:
        """Services whose way is not told to nodes yet."""
        found: dict[str, Service] = {}
        leading: dict[str, _Lead] = {}
        for key, service in mesh.services.items():
            before = last.services.get(key)
            if before is None or before is service or service.waypoint is None or before.waypoint is not None:
                continue
            known, lead = mesh.l7.services.get(key), self._leading.get(key)
            lead = _begun(now) if lead is None else lead.after(now, known is None or heard(known.waypoint))
            if now < lead.heard + _GRACE:
                leading[key] = lead
                found[key] = structs.replace(service, waypoint=None)
        self._leading = leading
        return found

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

    def _leave(self, last: Mesh, mesh: Mesh, told: Mapping[str, Service], now: float) -> None:
        """A waypoint goes on with what comes from nodes that have not heard yet."""
        leaving = {key: until for key, until in self._leaving.items() if until > now}
        for key, before in last.services.items():
            service = told.get(key) or mesh.services.get(key)
            if before.waypoint is not None and service is not None and service.waypoint is None:
                leaving.setdefault(key, now + self._seconds)
        gone = {key: last.l7.services[key].waypoint for key in leaving if key in last.l7.services}
        self._leaving = {
            key: leaving[key]
            for key, waypoint in gone.items()
            if (known := mesh.l7.services.get(key)) is not None
            and not known.waypoint
            and f"gateway-api/{waypoint}" in mesh.l7.gateways
        }

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
        for uid, workload in workloads.items() if self._since or self._leading else ():
            recent = (self._since.keys() | self._leading.keys()) & {
                uid,
                *(member.service for member in workload.services),
            }
            before = last.workloads.get(uid)
            if not recent or before is None or guarding(before.policies):
                continue
            if guards := set(guarding(workload.policies)):
                kept = tuple(name for name in workload.policies if name not in guards)
                found[uid] = structs.replace(workload, policies=kept)
                self._waiting |= recent & self._since.keys()
        return found


def _changed(last: Mapping[str, Workload], new: Mapping[str, Workload]) -> tuple[set[str], set[str]]:
    """Services of workloads that lose all their guards, and of those that keep or change some."""
    opened: set[str] = set()
    guarded: set[str] = set()
    for uid, before in last.items():
        workload = new.get(uid)
        if workload is not None and guarding(before.policies):
            (guarded if guarding(workload.policies) else opened).update(m.service for m in workload.services)
    return opened, guarded


def _replaced(
    mesh: Mesh,
    last: Mesh,
    services: Mapping[str, Service],
    kept: Iterable[str],
    workloads: Mapping[str, Workload],
) -> Mesh:
    """`kept`: services that stay with their waypoint."""
    ways = {
        key: structs.replace(mesh.l7.services[key], waypoint=last.l7.services[key].waypoint)
        for key in kept
        if key in last.l7.services and key in mesh.l7.services
    }
    if not services and not workloads and not ways:
        return mesh
    made = structs.replace(
        mesh,
        services={**mesh.services, **services} if services else mesh.services,
        workloads={**mesh.workloads, **workloads} if workloads else mesh.workloads,
        l7=structs.replace(mesh.l7, services={**mesh.l7.services, **ways}) if ways else mesh.l7,
    )
    carried(last, made)
    return made
