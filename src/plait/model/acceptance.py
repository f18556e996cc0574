"""What an AuthorizationPolicy's status says about its enforcement at L4: accepted as written, or in part.

Input is what `compile` found wrong with it. Other kinds' statuses are not made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from plait.model.status import BoundStatus, Condition
from plait.resources.problems import Problem

CONDITION = "ZtunnelAccepted"


def accepted(names: Iterable[tuple[str, str]], problems: Iterable[Problem]) -> Mapping[tuple[str, str], BoundStatus]:
    """By (namespace, name) of every policy."""
    about: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        if problem.kind == "AuthorizationPolicy" and problem.severity != "info":
            about.setdefault((problem.namespace, problem.name), []).append(problem)
    found = {}
    for name in sorted(names):
        wrong = about.get(name, [])
        text = "; ".join(f"{problem.path}: {problem.message}" for problem in wrong)
        condition = (
            Condition(CONDITION, "False", "UnsupportedValue", text)
            if wrong
            else Condition(CONDITION, "True", "Accepted", "enforced by the node proxy")
        )
        found[name] = BoundStatus((condition,))
    return found
