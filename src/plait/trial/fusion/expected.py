"""What a cell owes for a case: applied at one point, refused, or by definition not possible, as the planner says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from plait.model.enforcement import ClientMode, ServerMode, decide
from plait.trial.fusion.corpus import Case, Seen

Wanted = Literal["applied", "refused", "not applied"]


@dataclass(frozen=True, slots=True)
class Expectation:
    wanted: Wanted
    point: str
    reason: str

    def met(self, case: Case, seen: Seen) -> bool:
        if self.wanted == "applied":
            return case.holds(seen)
        if self.wanted == "refused":
            return (
                200 not in (seen.status, *seen.statuses) and seen.arrived == 0
            )  # a client's own proxy may answer first: a fault
        return case.plain(seen)


def expectation(client: ClientMode, server: ServerMode, case: Case) -> Expectation:
    """A service that owes a policy which nobody on the way can apply is refused, whatever the case is about."""
    decision = decide(client, server, case.kind)
    owed = decide(client, server, "waypoint-policy")
    if owed.point == "nowhere" and owed.guard:
        return Expectation("refused", owed.guard, owed.reason)
    if decision.point == "nowhere":
        return Expectation("not applied", "nowhere", decision.reason)
    return Expectation("applied", decision.point, "")
