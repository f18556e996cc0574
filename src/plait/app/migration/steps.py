"""steps(plan) and back(steps): what is done in which order, so that no moment is without its policies. Pure.

The new enforcement point is there before the old one goes. While clients change from one to the other both are right:
the waypoint is optional then, and a sidecar judges by itself what did not come through it (`model.guard`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from plait.app.migration.plan import Plan
from plait.model.modes import Mode

Verb = Literal[
    "waypoint",
    "hold",
    "attach",
    "compare",
    "verify",
    "label",
    "restart",
    "settle",
    "unlabel",
    "release",
    "relabel",
    "restore",
    "detach",
    "forget",
]


class Step(Struct, frozen=True, omit_defaults=True):
    """One thing that is done, waited for, and can be taken back. `subject` is a name in the scope's namespace."""

    verb: Verb
    subject: str = ""
    text: str = ""
    waypoint: str = ""
    """Gateway, "ns/name"."""
    pods: int = 0
    """How many are made anew."""


def steps(found: Plan) -> tuple[Step, ...]:
    """Nothing to do: no steps. Workloads of few pods go first: they are the canaries."""
    if found.empty:
        return ()
    namespace, _, waypoint = found.waypoint.partition("/")
    made: list[Step] = []
    if found.creates_waypoint and namespace == found.scope.namespace:
        made.append(Step("waypoint", waypoint, f"waypoint {waypoint} is made and serves"))
    made += _holding(found.services, found.waypoint)
    made += [
        Step("attach", name, f"Service {name} is bound to the waypoint", found.waypoint) for name in found.services
    ]
    made.append(Step("compare", text="every request is judged as before, and will be"))
    made.append(Step("label", text=f"new pods are {found.to}"))
    moving = sorted((move for move in found.moves if move.restarts), key=lambda move: (move.pods, move.name))
    made += [
        Step("restart", move.name, f"{move.name}: {move.pods} pods are made anew", pods=move.pods) for move in moving
    ]
    late = found.to == "none"  # their capture ends with the label, so it has to go before they can settle
    ending = [Step("unlabel", text="labels of the old mode are gone"), Step("settle", text=f"every pod is {found.to}")]
    made += ending if late else reversed(ending)
    made += _releasing(found.services, found.waypoint)
    return (*made, Step("verify", text="every request is judged as before, now by who really runs"))


def back(begun: Iterable[Step], before: Mode) -> tuple[Step, ...]:
    """What takes back the steps that were begun. Pods leave their mode before their labels do."""
    steps = tuple(begun)
    attached = [step for step in steps if step.verb == "attach"]
    services, waypoint = tuple(step.subject for step in attached), next((step.waypoint for step in attached), "")
    made = _holding(services, waypoint)
    if any(step.verb == "label" for step in steps):
        made.append(Step("relabel", text=f"new pods are {before}"))
        made += [
            Step("restart", step.subject, f"{step.subject} is {before} again")
            for step in steps
            if step.verb == "restart"
        ]
        made.append(Step("restore", text="labels are as they were"))
    made.append(Step("settle", text=f"every pod is {before}"))
    made += [Step("detach", name, f"Service {name} is not bound to the waypoint any more") for name in services]
    made += [
        Step("forget", step.subject, f"waypoint {step.subject} is gone") for step in steps if step.verb == "waypoint"
    ]
    held = tuple(step.subject for step in steps if step.verb == "hold")
    return (*made, *_releasing(held, ""))


def _holding(services: Iterable[str], waypoint: str) -> list[Step]:
    text = "sidecars judge what does not pass the waypoint"
    return [Step("hold", name, f"{name}: {text}", waypoint) for name in services]


def _releasing(services: Iterable[str], waypoint: str) -> list[Step]:
    text = "requests have to pass the waypoint" if waypoint else "sidecars judge every request"
    return [Step("release", name, f"{name}: {text}") for name in services]
