"""Order: in which stages a way changes, each begun when all who must know of the one before have acknowledged it. Pure.

    prepared   the new waypoint serves, servers let in who comes by either way; clients go the old one
    moved      clients go the new way; the old waypoint serves on
    (none)     the new waypoint's guard stands, the old waypoint serves no more

So no client is sent where nobody knows of it yet, and nothing is refused that a client has not been told to leave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from plait.model.mesh import GatewayAddress


class Way(NamedTuple):
    """How a service, or a workload by its own address, is reached: through a waypoint ("ns/name"), or straight ("").

    `address` is where node proxies send to; None until the waypoint has one.
    """

    waypoint: str = ""
    address: GatewayAddress | None = None


class Change(NamedTuple):
    before: Way
    after: Way
    moved: bool = False

    @property
    def told(self) -> Way:
        """The way that clients know."""
        return self.after if self.moved else self.before


class Order(NamedTuple):
    """`known`: the way of everything, as clients were told last. `changes`: what is under way."""

    known: Mapping[str, Way] = {}
    changes: Mapping[str, Change] = {}

    def advanced(
        self,
        wanted: Mapping[str, Way],
        heard: Callable[[str, Change], bool],
        serves: Callable[[GatewayAddress], bool],
    ) -> Order:
        """By a stage at most. `heard`: has everybody acknowledged this? `serves`: is anything at the address still?"""
        if not self.changes and wanted is self.known:
            return self
        known, changes = dict(wanted), {}
        for key, way in wanted.items():
            before, change = self.known.get(key, way), self.changes.get(key)
            if change is None and before == way:
                continue
            following = _following(key, before, change, way, heard, serves)
            if following is not None:
                changes[key], known[key] = following, following.told
        return Order(known if changes else wanted, changes)


def _following(
    key: str,
    before: Way,
    change: Change | None,
    way: Way,
    heard: Callable[[str, Change], bool],
    serves: Callable[[GatewayAddress], bool],
) -> Change | None:
    """What comes after a change (None: none is under way) of what clients know as `before`; None when all is told."""
    if before != way and not _gradual(before, way, serves):
        return None
    if change is not None and way == change.after:
        if not heard(key, change):
            return change
        return None if change.moved else change._replace(moved=True)
    if change is not None and change.moved and not heard(key, change):
        return change  # it leads elsewhere by now: first everybody is brought to where some are
    return Change(before, way) if before != way else None


def _gradual(before: Way, after: Way, serves: Callable[[GatewayAddress], bool]) -> bool:
    """Whether clients have anything to leave or to find: not where the old waypoint has gone, the new one is not there
    yet, or one merely moved to another address."""
    if before == after or (before.address is not None and not serves(before.address)):
        return False
    if before.waypoint == after.waypoint:
        return (before.address is None) != (after.address is None)
    return before.address is not None or after.address is not None
