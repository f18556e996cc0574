"""advise(mesh, traffic): for each workload the cheapest mode that keeps all that is bound to it. Pure.

Whether a mode keeps everything is the migration's own plan; what a mode costs is traffic times the CPU of the proxies
on the way, and their memory (`units`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from plait.app.migration.plan import Move, Plan, Scope, plan
from plait.app.migration.traffic import Key, Traffic
from plait.app.migration.units import ASSUMED, Units
from plait.model.mesh import Mesh
from plait.model.modes import Mode

CORE_MEGABYTES: Final = 8192.0
"""How much memory costs as much as a core."""
_CANDIDATES: Final[tuple[Mode, ...]] = ("ambient", "sidecar")


class Cost(Struct, frozen=True):
    """Of all pods of a workload; `waypoint`: its part of one."""

    millicores: float
    megabytes: float
    waypoint: bool = False

    def weighed(self, core: float = CORE_MEGABYTES) -> float:
        """In megabytes."""
        return self.megabytes + self.millicores / 1000 * core


class Advice(Struct, frozen=True):
    """`best` is the cheapest mode; where it is `mode` there is nothing to do. `instead`: why a cheaper one is none."""

    namespace: str
    name: str
    pods: int
    mode: Mode
    best: Mode
    traffic: Traffic
    now: Cost
    then: Cost
    instead: str = ""


def advise(
    mesh: Mesh,
    traffic: Mapping[Key, Traffic],
    namespace: str = "",
    core: float = CORE_MEGABYTES,
    units: Units = ASSUMED,
) -> tuple[Advice, ...]:
    """`namespace` "": of all. `core`: megabytes that cost as much as a core."""
    spaces = sorted({each.namespace for each in mesh.workloads.values() if namespace in ("", each.namespace)})
    return tuple(found for space in spaces for found in _of(mesh, space, traffic, core, units))


def _of(mesh: Mesh, space: str, traffic: Mapping[Key, Traffic], core: float, units: Units) -> Iterator[Advice]:
    everybody = plan(mesh, Scope(space), "ambient").moves
    plans = {move.name: {to: plan(mesh, Scope(space, move.name), to) for to in _CANDIDATES} for move in everybody}
    sharing = sum(bool(found["ambient"].waypoint) for found in plans.values())
    for move in everybody:
        measured, kept = traffic.get((space, move.name), Traffic()), {}
        for to, found in plans[move.name].items():
            if not found.lost:
                kept[to] = _cost(units, found, to, move.pods, measured, sharing)
        now = _cost(units, plans[move.name]["ambient"], move.mode, move.pods, measured, sharing)
        if move.mode == "none" or not kept:  # outside the mesh a proxy costs nothing; whoever is there stays
            yield Advice(space, move.name, move.pods, move.mode, move.mode, measured, now, now, _why(plans, move))
            continue
        best = min(kept, key=lambda mode: (kept[mode].weighed(core), mode != move.mode))
        yield Advice(space, move.name, move.pods, move.mode, best, measured, now, kept[best], _why(plans, move))


def _cost(units: Units, found: Plan, mode: Mode, pods: int, measured: Traffic, sharing: int) -> Cost:
    """`found` is the plan to ambient where `mode` is that: it says whether a waypoint is on the way."""
    if mode == "none":
        return Cost(0.0, 0.0)
    requests = measured.requests_in + measured.requests_out
    connections = measured.connections_in + measured.connections_out
    if mode == "sidecar":
        return Cost(units.sidecar.used(requests, connections) / 1000, pods * units.sidecar.megabytes)
    behind = bool(found.waypoint)
    micros = units.node.used(requests, connections)
    micros += units.waypoint.used(measured.requests_in, 0.0) if behind else 0.0
    return Cost(micros / 1000, units.waypoint.megabytes / max(sharing, 1) if behind else 0.0, behind)


def _why(plans: Mapping[str, Mapping[Mode, Plan]], move: Move) -> str:
    """What stands against less than a sidecar."""
    lost = plans[move.name]["ambient"].lost
    return f"{lost[0].object}: {lost[0].reason}" if lost else ""
