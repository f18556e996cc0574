"""The steps of `compile`, and how a previous Mesh saves work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from plait.model.compile import authentication, authorization, external, guards, services, standing, workloads
from plait.model.compile.memory import Memory
from plait.model.compile.traffic import steps as traffic
from plait.model.index import carried
from plait.model.mesh import Mesh, Service, Settings, Workload
from plait.model.policies import Policy
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.resources.problems import Problem, ordered

T = TypeVar("T")


class Objects(Protocol):
    """Everything people wrote, typed: kind -> (namespace, name) -> object."""

    def of(self, kind: Kind) -> Mapping[tuple[str, str], Any]: ...


def compile(
    objects: Objects, previous: Mesh | None = None, *, settings: Settings | None = None
) -> tuple[Mesh, tuple[Problem, ...]]:
    """The Mesh of these objects. `previous` must be an earlier result; its equal parts come back as they were."""
    settings = settings or (previous.settings if previous is not None else Settings())
    memory = Memory.of(previous if previous is not None and previous.settings == settings else None)
    problems: list[Problem] = []

    written = objects.of(kinds.AUTHORIZATION_POLICY).values()
    authorized = authorization.policies(written, settings, memory, problems)
    authenticated = authentication.Authentication(objects.of(kinds.PEER_AUTHENTICATION).values(), settings, problems)
    attached = workloads.Attached(authorized.selecting, authenticated)
    chosen = services.Selection(objects.of(kinds.SERVICE).values(), settings)

    found_services: list[Service] = list(chosen.services(memory))
    outside = objects.of(kinds.SERVICE_ENTRY).values()
    found_services += external.services(outside, memory)
    found_workloads: list[Workload] = list(
        workloads.pods(objects.of(kinds.POD).values(), objects.of(kinds.NODE), chosen, attached, settings, memory)
    )
    entries = objects.of(kinds.WORKLOAD_ENTRY).values()
    found_workloads += external.entries(entries, outside, chosen, attached, settings, problems)
    found_workloads += external.inline(outside, settings, problems)
    found_workloads += services.manual(objects.of(kinds.ENDPOINT_SLICE).values(), chosen, settings, memory)
    found_policies: list[Policy] = [*authorized.policies, *authenticated.policies()]

    old = previous or Mesh()
    by_uid = _kept({}, found_workloads, lambda w: w.uid)
    l7 = traffic.l7(objects, by_uid, settings, memory, old.l7, problems)
    guarded = guards.Guards(l7, settings, memory)
    protected = list(guarded.workloads(by_uid))
    problems.extend(guarded.problems)
    waypoints = standing.Standing(l7, objects.of(kinds.GATEWAY), objects.of(kinds.SERVICE), found_services, settings)
    mesh = Mesh(
        settings,
        _kept(old.workloads, waypoints.workloads(protected), lambda w: w.uid),
        _kept(old.services, waypoints.services(found_services), lambda s: s.key),
        _kept(old.policies, [*found_policies, *guarded.policies], lambda p: p.key),
        l7,
    )
    memory.keep(mesh)
    carried(old, mesh)
    return mesh, ordered(problems)


def _kept(old: Mapping[str, T], new: Iterable[T], key: Callable[[T], str]) -> Mapping[str, T]:
    """By key in key order, with the old object wherever it is equal; the old mapping itself when nothing changed."""
    found: dict[str, T] = {}
    for value in sorted(
        new, key=key, reverse=True
    ):  # several of one key: any fixed choice, whatever the order of writes
        name = key(value)
        before = old.get(name)
        found[name] = before if before is not None and (before is value or before == value) else value
    result = dict(sorted(found.items()))
    same = len(result) == len(old) and all(old.get(name) is value for name, value in result.items())
    return old if same else result
