"""Whether an Istio object is in effect: the problems that compile found with it, as a condition and as messages."""

from __future__ import annotations

from collections.abc import Iterable

from plait.model.status import BoundStatus, Condition, Message
from plait.resources.problems import Problem

CONDITION = "Reconciled"
_MOST = 20


def reconciled(problems: Iterable[Problem]) -> BoundStatus:
    """False when something of the object is not in effect; warnings are told, and leave it True."""
    found = [problem for problem in problems if problem.severity != "info"]
    wrong = any(problem.severity == "error" for problem in found)
    if not found:
        return BoundStatus((Condition(CONDITION, "True", "Accepted", "in effect"),))
    condition = Condition(
        CONDITION, "False" if wrong else "True", "Invalid" if wrong else "AcceptedWithWarnings", _text(found)
    )
    return BoundStatus((condition,), tuple(dict.fromkeys(Message(each.code, each.severity) for each in found)))


def _text(found: list[Problem]) -> str:
    said = [f"{each.code} {each.path}: {each.message}" for each in found[:_MOST]]
    more = len(found) - _MOST
    return "; ".join([*said, f"and {more} more"] if more > 0 else said)
