"""Units: what a request, a connection and a proxy cost, as this mesh's own proxies show it; else as was assumed. Pure.

Of CPU only a sum can be measured: of all proxies of a role, for all that they did. So the assumed cost of a request and
that of a connection are scaled alike until they explain the sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

from msgspec import Struct, structs

from plait.app.migration.plan import PROXY_MEGABYTES
from plait.app.migration.traffic import Key, Traffic
from plait.app.usages import Usage
from plait.model.mesh import Mesh

Source = Literal["measured", "assumed"]
ENOUGH: Final = 0.1
"""CPU seconds that what was done would have cost as assumed: less does not stand out of what an idle proxy uses."""


class Unit(Struct, frozen=True):
    """Of proxies of one role: microseconds of CPU, and memory of each."""

    request: float
    connection: float
    megabytes: float
    cpu: Source = "assumed"
    memory: Source = "assumed"

    def used(self, requests: float, connections: float) -> float:
        """Microseconds for these."""
        return requests * self.request + connections * self.connection


class Units(Struct, frozen=True):
    """A node's proxy is there for everybody, so its memory is told and counted for nobody."""

    node: Unit = Unit(220.0, 1150.0, 0.0)
    sidecar: Unit = Unit(500.0, 1150.0, float(PROXY_MEGABYTES))
    waypoint: Unit = Unit(500.0, 1150.0, float(PROXY_MEGABYTES))


ASSUMED: Final = Units()
"""As the benches measured on one machine (docs/benchmarks.md)."""
Usages = Mapping[tuple[str, str], Usage]


def measured(mesh: Mesh, traffic: Mapping[Key, Traffic], first: Usages, second: Usages, seconds: float) -> Units:
    """By two readings, with what was done between them."""
    done = _done(mesh, traffic)
    return Units(
        node=_unit("node", ASSUMED.node, done, first, second, seconds),
        sidecar=_unit("sidecar", ASSUMED.sidecar, done, first, second, seconds),
        waypoint=_unit("waypoint", ASSUMED.waypoint, done, first, second, seconds),
    )


def _unit(
    role: str, assumed: Unit, done: Mapping[str, tuple[float, float]], first: Usages, second: Usages, seconds: float
) -> Unit:
    grown = [now.cpu - first[key].cpu for key, now in second.items() if key[0] == role and key in first]
    expected = assumed.used(*done.get(role, (0.0, 0.0))) * seconds / 1e6
    found = assumed
    if expected >= ENOUGH and sum(grown) > 0:
        scale = sum(grown) / expected
        found = structs.replace(
            assumed, request=assumed.request * scale, connection=assumed.connection * scale, cpu="measured"
        )
    held = [each.megabytes for key, each in second.items() if key[0] == role]
    return structs.replace(found, megabytes=sum(held) / len(held), memory="measured") if held else found


def _done(mesh: Mesh, traffic: Mapping[Key, Traffic]) -> dict[str, tuple[float, float]]:
    """Requests and connections in a second, by the role of the proxies that had them."""
    found: dict[str, tuple[float, float]] = {}
    for role, requests, connections in _had(mesh, traffic):
        before = found.get(role, (0.0, 0.0))
        found[role] = before[0] + requests, before[1] + connections
    return found


def _had(mesh: Mesh, traffic: Mapping[Key, Traffic]) -> Iterator[tuple[str, float, float]]:
    behind, modes = _standing(mesh)
    for key, seen in traffic.items():
        requests, connections = seen.requests_in + seen.requests_out, seen.connections_in + seen.connections_out
        if modes.get(key) in ("ambient", "sidecar"):
            yield "node" if modes[key] == "ambient" else "sidecar", requests, connections
        if key in behind:
            yield "waypoint", seen.requests_in, 0.0


def _standing(mesh: Mesh) -> tuple[set[Key], dict[Key, str]]:
    """Workloads behind waypoints, and each one's mode."""
    behind: set[Key] = set()
    modes: dict[Key, str] = {}
    for uid, workload in mesh.workloads.items():
        instance = mesh.l7.instances.get(uid)
        if instance is None or instance.gateway:
            continue
        key = workload.namespace, workload.workload_name
        modes[key] = instance.mode
        served = (mesh.l7.services.get(each.service) for each in workload.services)
        if instance.waypoint or any(each is not None and each.waypoint for each in served):
            behind.add(key)
    return behind, modes


def words(units: Units, seconds: float) -> Iterable[str]:
    """Which figure is measured and which assumed."""
    yield f"a request, a connection and a proxy cost here (measured: by this mesh's proxies in {seconds:g} s):"
    for name, unit in (("node proxy", units.node), ("sidecar", units.sidecar), ("waypoint", units.waypoint)):
        cpu = f"{unit.request:.0f} and {unit.connection:.0f} µs of CPU ({unit.cpu})"
        yield f"  {name}: {cpu}" + (f", {unit.megabytes:.0f} MB ({unit.memory})" if unit.megabytes else "")
