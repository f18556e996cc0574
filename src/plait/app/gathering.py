"""Every status there is to write, from objects, their Mesh and problems. What did not change comes back as it was.

Keys are "plural.group/ns/name". An object of an Istio kind always has one, so that a user can wait for it. No IO.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from plait.model import acceptance, attaching, binding
from plait.model.compile.memory import Memory
from plait.model.compile.seen import Objects, seen
from plait.model.mesh import Mesh
from plait.model.reconciled import reconciled
from plait.model.status import BoundStatus, Status
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.resources.problems import Problem

Statuses = Mapping[str, Status]
Name = tuple[str, str]
_NOTHING: Mapping[str, str] = {}

ISTIO_KINDS: tuple[Kind, ...] = (
    kinds.VIRTUAL_SERVICE,
    kinds.DESTINATION_RULE,
    kinds.ISTIO_GATEWAY,
    kinds.SERVICE_ENTRY,
    kinds.SIDECAR,
    kinds.WORKLOAD_ENTRY,
    kinds.ENVOY_FILTER,
    kinds.PROXY_CONFIG,
    kinds.PEER_AUTHENTICATION,
    kinds.REQUEST_AUTHENTICATION,
    kinds.AUTHORIZATION_POLICY,
    kinds.TELEMETRY,
    kinds.WASM_PLUGIN,
    kinds.TRAFFIC_EXTENSION,
)


class Gathering:
    """Remembers the last answer of each part by the identity of what went in."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def of(
        self, objects: Objects, mesh: Mesh, problems: tuple[Problem, ...], leaving: Mapping[str, str] = _NOTHING
    ) -> Statuses:
        """`leaving`: as in `model.binding`."""
        objects = seen(objects, mesh.settings, Memory.of(mesh), [])
        l7, policies = mesh.l7, objects.of(kinds.AUTHORIZATION_POLICY)
        about = self._made("problems", (problems,), lambda: _by_object(problems))
        spaces = objects.of(kinds.NAMESPACE)
        bound = self._made(
            "bound",
            (l7.services, l7.gateways, mesh.services, spaces, leaving),
            lambda: binding.bound(
                l7.services.values(),
                l7.gateways,
                mesh.services,
                {name: s.meta.labels for (_, name), s in spaces.items()},
                leaving,
            ),
        )
        parts: list[Statuses] = [l7.statuses, self._made("services", (bound,), lambda: dict(_services(bound)))]
        for kind in ISTIO_KINDS:
            found = objects.of(kind)
            parts.append(self._made(str(kind), (found, about), partial(_reconciled, kind, found, about)))
        accepted = self._made(
            "accepted",
            (policies, problems, l7.authorization, l7.gateways, l7.services),
            lambda: acceptance.accepted(policies, problems, l7),
        )
        limits = objects.of(kinds.LIMIT_POLICY)
        limited = self._made(
            "limited",
            (limits, problems, l7.limits, l7.gateways, l7.services, l7.instances, mesh.workloads),
            lambda: {f"{kinds.LIMIT_POLICY}/{'/'.join(name)}": s for name, s in _limited(limits, problems, mesh)},
        )
        parts.append(limited)
        more = self._made("more", (accepted, bound), lambda: dict(_more(accepted, bound)))
        everything: Statuses = self._made("all", (*parts, more), lambda: dict(_joined(parts, more)))
        return everything

    def _made(self, part: str, inputs: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        before = self._last.get(part)
        if before is not None and all(a is b for a, b in zip(before[0], inputs, strict=True)):
            return before[1]
        made = make()
        if before is not None and before[1] == made:
            made = before[1]
        self._last[part] = (inputs, made)
        return made


def _by_object(problems: Iterable[Problem]) -> Mapping[str, Mapping[Name, tuple[Problem, ...]]]:
    found: dict[str, dict[Name, tuple[Problem, ...]]] = {}
    for each in problems:
        of_kind = found.setdefault(each.kind, {})
        name = each.namespace, each.name
        of_kind[name] = (*of_kind.get(name, ()), each)
    return found


def _reconciled(
    kind: Kind, objects: Iterable[Name], about: Mapping[str, Mapping[Name, tuple[Problem, ...]]]
) -> Statuses:
    """Also of those that cannot be read: they are not among the objects, but their problems are."""
    wrong = about.get(kind.kind, {})
    names = {**dict.fromkeys(objects), **dict.fromkeys(wrong)}
    return {f"{kind}/{name[0]}/{name[1]}": reconciled(wrong.get(name, ())) for name in names}


def _limited(limits: Iterable[Name], problems: Iterable[Problem], mesh: Mesh) -> Iterable[tuple[Name, BoundStatus]]:
    return attaching.attached(limits, problems, mesh).items()


def _services(bound: Mapping[binding.Name, BoundStatus]) -> Iterator[tuple[str, BoundStatus]]:
    for (kind, namespace, name), status in bound.items():
        if kind == kinds.SERVICE.kind:
            yield f"{kinds.SERVICE}/{namespace}/{name}", status


def _more(
    accepted: Mapping[Name, BoundStatus], bound: Mapping[binding.Name, BoundStatus]
) -> Iterator[tuple[str, BoundStatus]]:
    """What Istio objects say beside being reconciled."""
    for (namespace, name), status in accepted.items():
        yield f"{kinds.AUTHORIZATION_POLICY}/{namespace}/{name}", status
    for (kind, namespace, name), status in bound.items():
        if kind == kinds.SERVICE_ENTRY.kind:
            yield f"{kinds.SERVICE_ENTRY}/{namespace}/{name}", status


def _joined(parts: Iterable[Statuses], more: Mapping[str, BoundStatus]) -> Iterator[tuple[str, Status]]:
    for part in parts:
        for key, status in part.items():
            added = more.get(key)
            if added is not None and isinstance(status, BoundStatus):
                status = BoundStatus((*added.conditions, *status.conditions), status.messages)
            yield key, status
