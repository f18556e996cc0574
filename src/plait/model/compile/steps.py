"""The steps of `compile`, and how a previous Mesh saves work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from plait.model.compile import (
    activation,
    authentication,
    authorization,
    external,
    guards,
    seen,
    services,
    standing,
    workloads,
)
from plait.model.compile.memory import Memory, itself
from plait.model.compile.traffic import steps as traffic
from plait.model.index import carried
from plait.model.issuers import NOBODY, Providers
from plait.model.l7 import L7
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
    objects: Objects,
    previous: Mesh | None = None,
    *,
    settings: Settings | None = None,
    providers: Providers = NOBODY,
) -> tuple[Mesh, tuple[Problem, ...]]:
    """The Mesh of these objects, and of what issuers of tokens said of their keys. `previous` must be an earlier
    result; its equal parts come back as they were."""
    settings = settings or (previous.settings if previous is not None else Settings())
    memory = Memory.of(previous if previous is not None and previous.settings == settings else None)
    problems: list[Problem] = []

    old = previous or Mesh()
    objects = seen.seen(objects, settings, memory, problems)
    domains = traffic.trust_domains(objects, settings, memory)
    described = memory.step(
        "described",
        problems,
        lambda inner, said: _described(objects, settings, domains, inner, said),
        domains,
        *(objects.of(kind) for kind in _DESCRIBING),
    )
    l7 = traffic.l7(objects, described.workloads, settings, providers, memory, old.l7, problems)
    bound = memory.step(
        "bound",
        problems,
        lambda inner, said: _bound(objects, described, l7, settings, old, inner, said),
        described,
        objects.of(kinds.GATEWAY),
        objects.of(kinds.SERVICE),
        *(l7.services, l7.instances, l7.gateways, l7.authorization, l7.authentication),
    )
    mesh = Mesh(settings, bound.workloads, bound.services, bound.policies, l7)
    memory.keep(mesh)
    carried(old, mesh)
    return mesh, ordered(problems)


_DESCRIBING = (
    kinds.AUTHORIZATION_POLICY,
    kinds.PEER_AUTHENTICATION,
    kinds.NAMESPACE,
    kinds.SERVICE,
    kinds.SERVICE_ENTRY,
    kinds.POD,
    kinds.NODE,
    kinds.WORKLOAD_ENTRY,
    kinds.ENDPOINT_SLICE,
)
"""All that `_described` reads."""
_AROUND_PODS = (kinds.AUTHORIZATION_POLICY, kinds.PEER_AUTHENTICATION)
"""What a pod's workload depends on without asking for it."""


class _Bound(Struct, eq=False):
    """The L4 part of a Mesh."""

    workloads: Mapping[str, Workload]
    services: Mapping[str, Service]
    policies: Mapping[str, Policy]


class _Described(Struct, eq=False):
    """What objects of L4 say, each by itself."""

    workloads: Mapping[str, Workload]
    services: list[Service]
    policies: list[Policy]


def _described(
    objects: Objects, settings: Settings, domains: tuple[str, ...], memory: Memory, problems: list[Problem]
) -> _Described:
    written = objects.of(kinds.AUTHORIZATION_POLICY).values()
    authorized = authorization.policies(written, settings, domains, memory, problems)
    authenticated = authentication.Authentication(objects.of(kinds.PEER_AUTHENTICATION).values(), settings, problems)
    attached = workloads.Attached(authorized.selecting, authenticated)
    slices = objects.of(kinds.ENDPOINT_SLICE).values()
    outside, namespaces = objects.of(kinds.SERVICE_ENTRY).values(), objects.of(kinds.NAMESPACE)
    chosen = services.Selection(objects.of(kinds.SERVICE), settings, slices, objects.of(kinds.SERVICE_ENTRY), memory)

    found_services: list[Service] = list(chosen.services(memory, namespaces))
    found_services += external.services(outside, memory, namespaces)
    around = memory.step("around-pods", [], lambda _, __: object(), domains, *map(objects.of, _AROUND_PODS))
    nodes = objects.of(kinds.NODE)
    pods = workloads.pods(objects.of(kinds.POD), nodes, chosen, attached, settings, memory, around)
    entries = objects.of(kinds.WORKLOAD_ENTRY).values()
    found: list[Workload] = []
    found += external.entries(entries, chosen, attached, settings, problems)
    found += external.inline(outside, attached, settings, problems)
    found += services.manual(slices, chosen, settings, memory)
    running = (each for each in (*pods.values(), *found) if each is not None)
    found += activation.asleep(slices, chosen, running, settings)
    others = _kept({}, found, lambda w: w.uid)
    by_uid: Mapping[str, Workload] = memory.gathered("workloads", (pods, workloads.found), (others, itself))
    return _Described(by_uid, found_services, [*authorized.policies, *authenticated.policies()])


def _bound(
    objects: Objects, found: _Described, l7: L7, settings: Settings, old: Mesh, memory: Memory, problems: list[Problem]
) -> _Bound:
    """With what the L7 part adds: guards, and through which waypoints one goes."""
    guarded = guards.Guards(l7, settings, memory)
    protected = list(guarded.workloads(found.workloads))
    problems.extend(guarded.problems)
    waypoints = standing.Standing(l7, objects.of(kinds.GATEWAY), objects.of(kinds.SERVICE), found.services, settings)
    return _Bound(
        _kept(old.workloads, waypoints.workloads(protected), lambda w: w.uid),
        _kept(old.services, waypoints.services(found.services), lambda s: s.key),
        _kept(old.policies, [*found.policies, *guarded.policies], lambda p: p.key),
    )


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
