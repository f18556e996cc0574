"""plan(mesh, scope, to): what moves when workloads change their mode, what would be lost, and what it costs. Pure.

Where each policy and route acts before and after is the planner's answer (`model.enforcement`); nothing here decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from plait.diagnose.binding import Bound, Called, binding
from plait.model.enforcement import ClientMode, Kind, decide, server_mode
from plait.model.http_services import HttpService, Instance
from plait.model.mesh import Mesh, Workload
from plait.model.modes import Mode
from plait.model.proxies import Proxy

PROXY_MEGABYTES: Final = 14
"""Private memory of one idle Envoy; the binary's pages are shared by all on a node (measured: docs/benchmarks.md)."""


_HTTP: Final[frozenset[Kind]] = frozenset({"route", "balancing", "waypoint-policy", "l7-policy", "authentication"})


class Scope(Struct, frozen=True):
    """A namespace, or one workload (Deployment, …) of it."""

    namespace: str
    workload: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.workload}" if self.workload else self.namespace


class Move(Struct, frozen=True):
    """One workload: how many pods, which mode now, and whether they are made anew.

    A sidecar that comes or goes needs that; and a workload that moves apart from its namespace: its template says so.
    """

    namespace: str
    name: str
    kind: str
    mode: Mode
    pods: int
    restarts: bool


class Change(Struct, frozen=True):
    """Where one object acts for clients of one mode, before and after."""

    object: str
    """"Kind/namespace/name"."""
    about: str
    """Service or workload, "namespace/name"."""
    kind: Kind
    client: ClientMode
    before: str
    after: str
    reason: str = ""

    @property
    def lost(self) -> bool:
        """It acts now, and would not any more."""
        return self.before != "nowhere" and self.after == "nowhere"


class Resources(Struct, frozen=True):
    """Proxies in the scope and their private memory (MB), node proxies not counted: there is one a node anyway."""

    proxies: int
    megabytes: int


class Plan(Struct, frozen=True):
    scope: Scope
    to: Mode
    waypoint: str
    """Gateway ("ns/name") that has to be there; "" none."""
    creates_waypoint: bool
    services: tuple[str, ...]
    """Names of Services of the namespace that are to be bound to the waypoint and are not yet."""
    moves: tuple[Move, ...]
    pods: tuple[str, ...]
    changes: tuple[Change, ...]
    before: Resources
    after: Resources

    @property
    def lost(self) -> tuple[Change, ...]:
        """A plan with losses is refused."""
        return tuple(change for change in self.changes if change.lost)

    @property
    def empty(self) -> bool:
        return all(move.mode == self.to for move in self.moves)


def plan(mesh: Mesh, scope: Scope, to: Mode, waypoint: str = "waypoint") -> Plan:
    """`waypoint` names the one that is made where HTTP policies need one and none is bound."""
    moving = inside(mesh, scope)
    moves = tuple(_moves(mesh, moving.values(), to, bool(scope.workload)))
    services = services_of(mesh, moving.values())
    needing = [each for each in services if to == "ambient" and _reads_http(mesh, each, moving.values())]
    unbound = tuple(each.name for each in needing if not each.waypoint and each.kind == "Service")
    wanted = next((each.waypoint for each in needing if each.waypoint), "")
    if unbound and not wanted:
        wanted = f"{scope.namespace}/{waypoint}"
    creates = wanted == f"{scope.namespace}/{waypoint}" and f"gateway-api/{wanted}" not in mesh.l7.gateways
    creates = creates and not any(each.waypoint for each in needing)  # else a label names it, and a person makes it
    sidecars = sum(move.pods for move in moves if move.mode == "sidecar")
    future = sum(move.pods for move in moves) if to == "sidecar" else 0
    return Plan(
        scope=scope,
        to=to,
        waypoint=wanted,
        creates_waypoint=creates,
        services=unbound,
        moves=moves,
        pods=tuple(sorted(each.name for each in moving.values())),
        changes=tuple(_changes(mesh, services, moving, to, frozenset(unbound))),
        before=Resources(sidecars, sidecars * PROXY_MEGABYTES),
        after=Resources(future + creates, (future + creates) * PROXY_MEGABYTES),
    )


# The scope ---


def inside(mesh: Mesh, scope: Scope) -> dict[str, Workload]:
    """Who moves, by uid."""
    return {uid: each for uid, each in mesh.workloads.items() if _within(mesh, each, scope)}


def services_of(mesh: Mesh, workloads: Iterable[Workload]) -> tuple[HttpService, ...]:
    """Services that one of these stands behind."""
    keys = sorted({membership.service for each in workloads for membership in each.services})
    return tuple(mesh.l7.services[key] for key in keys if key in mesh.l7.services)


def _within(mesh: Mesh, workload: Workload, scope: Scope) -> bool:
    instance = mesh.l7.instances.get(workload.uid)
    if workload.namespace != scope.namespace or instance is None or instance.gateway or workload.host_network:
        return False
    if instance.mode == "none" and not workload.healthy:
        return False  # it is going (its capture has gone before it) or only just coming
    return not scope.workload or scope.workload in (workload.workload_name, workload.name)


def _moves(mesh: Mesh, moving: Iterable[Workload], to: Mode, apart: bool) -> Iterator[Move]:
    groups: dict[tuple[str, str, str, Mode], int] = {}
    for each in moving:
        key = each.namespace, each.workload_name or each.name, each.workload_type, _instance(mesh, each).mode
        groups[key] = groups.get(key, 0) + 1
    for (namespace, name, kind, mode), pods in sorted(groups.items()):
        yield Move(namespace, name, kind, mode, pods, mode != to and (apart or "sidecar" in (mode, to)))


def _instance(mesh: Mesh, workload: Workload) -> Instance:
    return mesh.l7.instances[workload.uid]


# What is bound, and what changes ---


def _bound(mesh: Mesh, workload: Workload, service: HttpService | None) -> Iterator[Bound]:
    """Every object about this workload as it is called by this service, whatever the port."""
    asking = Proxy("sidecar", workload.namespace, "")
    seen: set[tuple[str, str, str, str]] = set()
    ports = service.ports if service is not None else ()
    for number, target in [(each.number, each.target or each.number) for each in ports] or [(0, 0)]:
        for each in binding(mesh, Called(workload, service, number, target), asking):
            key = each.kind, each.namespace, each.name, each.taken_for
            if key not in seen:
                seen.add(key)
                yield each


def _reads_http(mesh: Mesh, service: HttpService, moving: Iterable[Workload]) -> bool:
    """Something about this service (or its workloads) only an HTTP proxy can do."""
    members = [each for each in moving if _serves(each, service)]
    return bool(service.waypoint) or any(
        each.taken_for in _HTTP for member in members[:1] for each in _bound(mesh, member, service)
    )


def _changes(
    mesh: Mesh, services: Iterable[HttpService], moving: Mapping[str, Workload], to: Mode, unbound: frozenset[str]
) -> Iterator[Change]:
    clients, seen = _clients(mesh, moving), set[Change]()
    for service in services:
        behind = bool(service.waypoint) or (service.kind == "Service" and service.name in unbound)
        for workload in (each for each in moving.values() if _serves(each, service)):
            old = server_mode(_instance(mesh, workload).mode, bool(service.waypoint))
            for each in _bound(mesh, workload, service):
                for client, moves in clients.items():
                    before = decide(client, old, each.taken_for)
                    after = decide(to if moves else client, server_mode(to, behind), each.taken_for)
                    name = "/".join(filter(None, (each.kind, each.namespace, each.name)))
                    about = f"{service.namespace}/{service.name}"
                    change = Change(name, about, each.taken_for, client, before.point, after.point, after.reason)
                    if before.point != after.point and change not in seen:
                        seen.add(change)
                        yield change


def _clients(mesh: Mesh, moving: Mapping[str, Workload]) -> Mapping[ClientMode, bool]:
    """Modes of who may call, and whether all of that mode are in the scope and so change too."""
    found: dict[ClientMode, bool] = {}
    for uid, instance in mesh.l7.instances.items():
        if instance.mode == "none" and not instance.gateway and not _healthy(mesh, uid):
            continue  # it is going, or only just coming
        mode: ClientMode = "gateway" if instance.gateway else instance.mode
        found[mode] = found.get(mode, True) and uid in moving
    return dict(sorted(found.items()))


def _healthy(mesh: Mesh, uid: str) -> bool:
    workload = mesh.workloads.get(uid)
    return workload is not None and workload.healthy


def _serves(workload: Workload, service: HttpService) -> bool:
    return any(membership.service == service.key for membership in workload.services)
