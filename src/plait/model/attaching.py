"""What a LimitPolicy's status says: is it right and are its targets there (Accepted), who carries it out (Attached).

`Attached` is False as soon as requests to one of the targets pass nobody who could; then its message says what that
means: what must be counted is refused, what protects from load has no effect there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from plait.model.acceptance import Before
from plait.model.attachment import Target
from plait.model.compile.traffic.report import CONFLICT, GUARDED
from plait.model.enforcement import decide
from plait.model.guard import mode_of
from plait.model.http_services import HttpService
from plait.model.index import index_of
from plait.model.l7 import L7
from plait.model.limits import KIND, LimitPolicy
from plait.model.mesh import Mesh
from plait.model.status import BoundStatus, Condition
from plait.resources.problems import Problem

ACCEPTED, ATTACHED = "Accepted", "Attached"


def attached(
    names: Iterable[tuple[str, str]], problems: Iterable[Problem], mesh: Mesh
) -> Mapping[tuple[str, str], BoundStatus]:
    """By (namespace, name) of every LimitPolicy."""
    about: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        if problem.kind == KIND and problem.code != GUARDED:
            about.setdefault((problem.namespace, problem.name), []).append(problem)
    points = _Points(mesh)
    found = {}
    for name in sorted({*names, *about}):
        policy, wrong = mesh.l7.limits.get("/".join(name)), about.get(name, [])
        found[name] = BoundStatus((_accepted(policy, wrong, points), _attached(policy, points)))
    return found


def _accepted(policy: LimitPolicy | None, wrong: list[Problem], points: _Points) -> Condition:
    text = "; ".join(f"{problem.path}: {problem.message}" for problem in wrong)
    if policy is None or any(problem.severity == "error" for problem in wrong):
        return Condition(ACCEPTED, "False", "Invalid", text)
    if lost := [_named(target) for target in policy.attachment.targets if not points.known(target)]:
        return Condition(ACCEPTED, "False", "TargetNotFound", f"{', '.join(lost)}: there is no such object; create it")
    if any(problem.code == CONFLICT for problem in wrong):
        return Condition(ACCEPTED, "True", "PartlyOverruled", text)
    return Condition(ACCEPTED, "True", "Accepted", text)


def _attached(policy: LimitPolicy | None, points: _Points) -> Condition:
    if policy is None:
        return Condition(ATTACHED, "False", "Invalid", "nobody enforces what cannot be read")
    where: set[str] = set()
    idle: list[str] = []
    for target in policy.attachment.targets:
        for point, reason in points.of(target):
            if reason:
                idle.append(f"{_named(target)}: {reason}")
            else:
                where.add(point)
    enforced = f"enforced by {', '.join(sorted(where))}" if where else ""
    if not idle:
        return Condition(ATTACHED, "True", "Attached", enforced)
    effect = "what it counts is refused there meanwhile" if policy.owed else "it has no effect there"
    text = "; ".join([*dict.fromkeys(idle), effect, *([enforced] if enforced else [])])
    return Condition(ATTACHED, "False", "NotEnforced", text)


def _named(target: Target) -> str:
    return f"{target.kind} {'/'.join(part for part in (target.namespace, target.name) if part)}"


class _Points:
    """Who enforces what is attached to a target, as the planner has it."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh, self._index, self._before = mesh, index_of(mesh), Before(mesh.l7)
        self._services: dict[Target, list[HttpService]] = {}
        for each in mesh.l7.services.values():
            self._services.setdefault(Target(each.kind, each.namespace, each.name), []).append(each)

    def known(self, target: Target) -> bool:
        return target in self._services or bool(self._before.gateways(target))

    def of(self, target: Target) -> Iterator[tuple[str, str]]:
        """(who, "") or ("", why nobody)."""
        l7: L7 = self._mesh.l7
        if target not in self._services:
            found = self._before.gateways(target)
            yield from ((f"gateway {name}", "") for name in sorted(found))
            if not found:
                yield "", "there is no such object"
        for service in self._services.get(target, ()):
            if service.waypoint:
                there = f"gateway-api/{service.waypoint}" in l7.gateways
                why = "" if there else f"its waypoint {service.waypoint} does not exist; create it"
                yield f"waypoint {service.waypoint}", why
                continue
            members = self._index.workloads_of(service.key)
            if not members:
                yield "", "it has no pods yet and no waypoint"
            for workload in members:
                instance = l7.instances.get(workload.uid)
                if instance is None or (instance.mode == "none" and not instance.gateway):
                    yield "", "a pod of it is not in the mesh; enrol it or give the service a waypoint"
                    continue
                decision = decide("ambient", mode_of(instance, ""), "rate-limit")
                yield f"sidecar {workload.namespace}/{workload.name}", decision.reason
