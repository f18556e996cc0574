"""What an AuthorizationPolicy's status says: enforced at L4 as written or in part, or bound to a waypoint.

Input is what `compile` found wrong with it, and its attachment. Other kinds' statuses are not made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from plait.model.attachment import Target
from plait.model.compile.traffic.report import GUARDED
from plait.model.http_security import HttpPolicy
from plait.model.l7 import L7
from plait.model.status import BoundStatus, Condition
from plait.resources.problems import Problem

CONDITION = "ZtunnelAccepted"
WAYPOINT = "WaypointAccepted"


def accepted(
    names: Iterable[tuple[str, str]], problems: Iterable[Problem], l7: L7 | None = None
) -> Mapping[tuple[str, str], BoundStatus]:
    """By (namespace, name) of every policy. With `l7`, those that name targets say which gateways they are bound to."""
    about: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        if problem.kind == "AuthorizationPolicy":
            about.setdefault((problem.namespace, problem.name), []).append(problem)
    before = Before(l7) if l7 is not None else None
    found = {}
    for name in sorted(names):
        policy = l7.authorization.get("/".join(name)) if l7 is not None else None
        if before is not None and policy is not None and policy.attachment.targets:
            found[name] = BoundStatus((_bound(policy, before, about.get(name, ())),))
            continue
        found[name] = BoundStatus((_selecting(about.get(name, [])),))
    return found


def _selecting(wrong: list[Problem]) -> Condition:
    """Of a policy by selector: what is stricter at L4 than it is written is in effect, and said."""
    if not wrong:
        return Condition(CONDITION, "True", "Accepted", "enforced by the node proxy")
    stricter = all(problem.severity == "info" for problem in wrong)
    return Condition(CONDITION, "True" if stricter else "False", "UnsupportedValue", _text(wrong))


def _bound(policy: HttpPolicy, before: Before, wrong: Iterable[Problem]) -> Condition:
    """Accepted when every target is there and some gateway stands before it, and nothing is wrong with the policy."""
    told = [problem for problem in wrong if problem.severity != "info"]
    if text := _text(problem for problem in told if problem.code != GUARDED):
        return Condition(WAYPOINT, "False", "Invalid", text)
    if text := _text(told):
        return Condition(WAYPOINT, "False", "TargetNotFound", text)
    bound: set[str] = set()
    for target in policy.attachment.targets:
        found = before.gateways(target)
        if not found:
            where = "/".join(part for part in (target.namespace, target.name) if part)
            text = f"{target.kind} {where} does not exist or no gateway stands before it, so nobody enforces this there"
            return Condition(WAYPOINT, "False", "TargetNotFound", text)
        bound |= found
    return Condition(WAYPOINT, "True", "Accepted", f"bound to {', '.join(sorted(bound))}")


class Before:
    """Gateways ("ns/name") that stand before a target and so enforce what is attached to it."""

    def __init__(self, l7: L7) -> None:
        self._managed = {f"{each.namespace}/{each.name}": each for each in l7.gateways.values() if each.managed}
        self._services: dict[tuple[str, str, str], set[str]] = {}
        for each in l7.services.values():
            if each.waypoint in self._managed:
                self._services.setdefault((each.kind, each.namespace, each.name), set()).add(each.waypoint)

    def gateways(self, target: Target) -> set[str]:
        if target.kind == "GatewayClass":
            return {name for name, each in self._managed.items() if each.class_name == target.name}
        if target.kind == "Gateway":
            return {f"{target.namespace}/{target.name}"} & self._managed.keys()
        return self._services.get((target.kind, target.namespace, target.name), set())


def _text(wrong: Iterable[Problem]) -> str:
    return "; ".join(f"{problem.path}: {problem.message}" for problem in wrong)
