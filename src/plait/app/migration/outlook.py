"""outlook(documents, mesh, …): the plan, what stands in its way, and how requests are judged now and then. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct

from plait.app.migration.future import future
from plait.app.migration.obstacles import obstacles
from plait.app.migration.plan import Plan, Scope, plan
from plait.app.migration.shadow import Difference, differing, verdicts
from plait.app.offline import World
from plait.model.mesh import Mesh
from plait.model.modes import Mode


class Outlook(Struct, frozen=True):
    plan: Plan
    now: Mapping[str, str]
    then: Mapping[str, str]
    obstacles: tuple[str, ...] = ()

    @property
    def differences(self) -> tuple[Difference, ...]:
        return differing(self.now, self.then)


def outlook(
    documents: Collection[dict[str, Any]], mesh: Mesh, scope: Scope, to: Mode, waypoint: str = "waypoint"
) -> Outlook:
    """`mesh` is what the documents make. What will be made (pods of a waypoint) is assumed to run."""
    found = plan(mesh, scope, to, waypoint)
    then = World(future(documents, found), mesh.settings).described()
    return Outlook(found, verdicts(mesh, scope), verdicts(then, scope), obstacles(documents, mesh, found))
