"""steps(plan): what is done in which order, so that no moment is without its policies. Pure.

The new enforcement point is there before the old one goes, and every step can be taken back.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from plait.app.migration.plan import Plan

Verb = Literal["waypoint", "attach", "compare", "label", "restart", "settle", "unlabel"]


class Step(Struct, frozen=True, omit_defaults=True):
    """One thing that is done, waited for, and can be taken back. `subject` is a name in the scope's namespace."""

    verb: Verb
    subject: str = ""
    text: str = ""
    waypoint: str = ""


def steps(found: Plan) -> tuple[Step, ...]:
    """Nothing to do: no steps. Workloads of few pods go first: they are the canaries."""
    if found.empty:
        return ()
    namespace, _, waypoint = found.waypoint.partition("/")
    made: list[Step] = []
    if found.creates_waypoint and namespace == found.scope.namespace:
        made.append(Step("waypoint", waypoint, f"waypoint {waypoint} is made and serves"))
    made += [Step("attach", name, f"Service {name} is bound to the waypoint", waypoint) for name in found.services]
    made.append(Step("compare", text="every policy has one place where it acts"))
    made.append(Step("label", text=f"new pods are {found.to}"))
    moving = sorted((move for move in found.moves if move.restarts), key=lambda move: (move.pods, move.name))
    made += [Step("restart", move.name, f"{move.name}: {move.pods} pods are made anew") for move in moving]
    late = found.to == "none"  # their capture ends with the label, so it has to go before they can settle
    ending = [Step("unlabel", text="labels of the old mode are gone"), Step("settle", text=f"every pod is {found.to}")]
    return (*made, *(ending if late else reversed(ending)))
