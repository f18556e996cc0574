"""told(mesh, last, changes): what is told of a Mesh while ways change, and ways(mesh): how everything is reached. Pure.

Waypoints of both ways are optional meanwhile (`model.guard`): they serve, and sidecars judge what passed none. A guard
that was not told before waits for the end; where one stood before, both waypoints are let in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import structs

from plait.app.telling.order import Change, Way
from plait.model.guard import guarding
from plait.model.http_services import HttpService
from plait.model.index import carried, index_of
from plait.model.mesh import GatewayAddress, Mesh, Workload
from plait.model.policies import Group, Match, Policy, Rule, Text

_STRAIGHT: Final = Way()


def ways(mesh: Mesh, before: Mesh | None = None) -> Mapping[str, Way]:
    """By service and by workload; those of one Mesh are made once, and are those of `before` if nothing moved."""
    kept: Mapping[str, Way] | None = mesh.__dict__.get("ways")
    if kept is None and before is not None and _moved(before) == _moved(mesh):
        kept = before.__dict__.get("ways")
    if kept is not None:
        mesh.__dict__["ways"] = kept
        return kept
    found: dict[str, Way] = {}
    for key, service in mesh.services.items():
        known = mesh.l7.services.get(key)
        found[key] = _way(known.waypoint if known is not None else "", service.waypoint)
    for uid, workload in mesh.workloads.items():
        instance = mesh.l7.instances.get(uid)
        found[uid] = _way(instance.waypoint if instance is not None else "", workload.waypoint)
    mesh.__dict__["ways"] = found  # a cache, not part of the value
    return found


def _moved(mesh: Mesh) -> tuple[int, ...]:
    """Other numbers for a Mesh in which anything may be reached otherwise; both are alive when it is asked."""
    return id(mesh.services), id(mesh.workloads), id(mesh.l7.services), id(mesh.l7.instances)


def _way(waypoint: str, address: GatewayAddress | None) -> Way:
    return Way(waypoint, address) if waypoint or address is not None else _STRAIGHT


def told(mesh: Mesh, last: Mesh, changes: Mapping[str, Change]) -> Mesh:
    """`last` is what was told before."""
    if not changes:
        return mesh
    services, l7 = dict(mesh.services), dict(mesh.l7.services)
    workloads, policies = dict(mesh.workloads), dict(mesh.policies)
    for key, change in changes.items():
        if key in services:
            services[key] = structs.replace(services[key], waypoint=change.told.address)
            if key in l7:
                l7[key] = _optional(l7[key], change)
        else:
            workloads[key] = structs.replace(workloads[key], waypoint=change.told.address)
    for uid in reached(mesh, changes):
        names, added = _let_in(workloads[uid], mesh, last)
        workloads[uid] = structs.replace(workloads[uid], policies=names)
        policies.update(added)
    changed = structs.replace(mesh.l7, services=l7)
    made = structs.replace(mesh, services=services, workloads=workloads, policies=policies, l7=changed)
    carried(mesh, made)
    return made


def _optional(service: HttpService, change: Change) -> HttpService:
    both = {*service.optional_waypoints, change.before.waypoint, change.after.waypoint} - {""}
    return structs.replace(service, waypoint=change.told.waypoint, optional_waypoints=tuple(sorted(both)))


def reached(mesh: Mesh, changes: Iterable[str]) -> set[str]:
    """Workloads that are reached by what changes."""
    found: set[str] = set()
    for key in changes:
        found.update([key] if key in mesh.workloads else (each.uid for each in index_of(mesh).workloads_of(key)))
    return found


def _let_in(workload: Workload, mesh: Mesh, last: Mesh) -> tuple[tuple[str, ...], dict[str, Policy]]:
    """The policies of a workload, and such as are made for the time being."""
    guards, before = set(guarding(workload.policies)), last.workloads.get(workload.uid)
    stood = set(guarding(before.policies)) if before is not None else guards
    if not guards or guards == stood:
        return workload.policies, {}
    others = tuple(name for name in workload.policies if name not in guards)
    if not stood or mesh.l7.instances[workload.uid].mode == "sidecar":
        return others, {}
    passing = {who for name in stood if (old := last.policies.get(name)) is not None for who in _passing(old)}
    made = [_passed_by(mesh.policies[name], passing) for name in sorted(guards)]
    return tuple(sorted((*others, *(each.key for each in made)))), {each.key: each for each in made}


def _passing(guard: Policy) -> Iterator[Text]:
    """Who gets past it."""
    for group in guard.groups:
        for rule in group.rules:
            for match in rule.matches:
                yield from match.not_principals


def _passed_by(guard: Policy, more: Iterable[Text]) -> Policy:
    """The guard, let past by more; its name says so once."""
    groups = []
    for group in guard.groups:
        where = [rule for rule in group.rules if not any(match.not_principals for match in rule.matches)]
        everybody = sorted({*_passing(guard), *more}, key=lambda text: text.value)
        passing = [Rule((Match(not_principals=tuple(everybody)),))] if everybody else []
        groups.append(Group((*where, *passing)))
    return structs.replace(guard, name=f"{guard.name.removesuffix('_BOTH')}_BOTH", groups=tuple(groups))
