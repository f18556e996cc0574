"""Telling: what is told now of all that is meant, and when the next stage may begin: when it was acknowledged.

An acknowledgement is that of the Envoy itself (`app.taken`), of every one that is connected: node proxies, sidecars,
waypoints and gateways alike. Whoever does not answer holds a change up for `LONGEST` and is named in a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from plait.app.telling.kept import Kept
from plait.app.telling.order import Change, Order
from plait.app.telling.told import told, ways
from plait.base.wellknown import USE_WAYPOINT
from plait.model.compile.traffic.report import SILENT
from plait.model.mesh import GatewayAddress, Mesh
from plait.resources.problems import Problem
from plait.xds.cache import Cache

LONGEST: Final = 10.0
"""Seconds that a connected proxy has to acknowledge a stage."""
WORKERS: Final = 0.1
"""Envoy's main thread acknowledges; its workers take it over a little later."""
FLIGHT: Final = 1.0
"""For requests that were sent the old way before that: after it a guard may refuse them."""
BACK: Final = 5.0
"""For proxies to come back to a control plane that has just started: until then nobody has acknowledged anything."""
LOOK: Final = 0.05
Mark = Mapping[Cache, int]


class _Entered(NamedTuple):
    """A stage, as it was told: `mark` is what proxies have to answer for, `heard` when the last one had."""

    change: Change
    mark: Mark
    at: float
    earliest: float
    heard: float | None = None


class Telling:
    """`told(mesh, now)`, then what it returns is served, then `spoken(now)`; again when `due(now)`."""

    def __init__(self, audience: Callable[[], Iterable[Cache]], kept: Kept | None = None) -> None:
        """`audience`: everybody who is told, one cache for each or for all of a kind."""
        self._audience, self._kept = audience, kept or Kept()
        changes, self._last = self._kept.load()
        self._order = Order({key: change.told for key, change in changes.items()}, changes)
        self._back = BACK if changes else 0.0
        self.leaving: Mapping[str, str] = {}
        """By service and workload: the waypoint of before ("" none), where not everybody knows the way of now."""
        self._entered: dict[str, _Entered] = {}
        self._silent: dict[str, tuple[Mark, Problem]] = {}
        self._seen: dict[int, tuple[str, ...]] = {}
        """Who is behind which mark, at this look: changes that were told together share one."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Who has not acknowledged in time what a change went on without."""
        return tuple(problem for _, problem in self._silent.values())

    def told(self, mesh: Mesh, now: float) -> Mesh:
        self._seen = {}

        def heard(key: str, change: Change) -> bool:
            return self._heard(key, change, now)

        def serves(address: GatewayAddress) -> bool:
            return not address.service or address.service in mesh.services

        self._order = self._order.advanced(ways(mesh, self._last), heard, serves)
        leaving = {key: change.before.waypoint for key, change in self._order.changes.items()}
        self.leaving = self.leaving if leaving == self.leaving else leaving
        self._last = told(mesh, self._last, self._order.changes)
        return self._last

    def spoken(self, now: float) -> None:
        """What was told last is served now."""
        changes = self._order.changes
        new = {key: each for key, each in changes.items() if self._entered.get(key, (None,))[0] != each}
        mark = {cache: cache.generation for cache in self._audience()} if new else {}
        entered = {key: each for key, each in self._entered.items() if key in changes}
        back, self._back = now + self._back, 0.0
        self._entered = {**entered, **{key: _Entered(change, mark, now, back) for key, change in new.items()}}
        self._kept.save(changes, self._last)

    def due(self, now: float) -> bool:
        """Whether there is something else to tell, or to say."""
        self._seen = {}
        silent = {key: each for key, each in self._silent.items() if self._behind(each[0])}
        answered, self._silent = len(silent) < len(self._silent), silent
        heard = [self._heard(key, each.change, now) for key, each in self._entered.items()]
        return answered or any(heard)

    def next(self, now: float) -> float | None:
        """When to look again; None: nothing is under way."""
        if self._entered:
            return now + LOOK
        return now + 1.0 if self._silent else None

    def _heard(self, key: str, change: Change, now: float) -> bool:
        entered = self._entered.get(key)
        if entered is None or entered.change != change or now < entered.earliest:
            return False
        if entered.heard is None:
            late = {name for mark, _ in self._silent.values() for name in self._behind(mark)}
            behind = tuple(name for name in self._behind(entered.mark) if name not in late)  # for them one has waited
            if behind and now < entered.at + LONGEST:
                return False
            if behind:
                self._silent[key] = entered.mark, self._problem(key, behind)
            entered = self._entered[key] = entered._replace(heard=now)
        return now >= (entered.heard or now) + (FLIGHT if change.moved else WORKERS)

    def _behind(self, mark: Mark) -> tuple[str, ...]:
        """Of those that were not there yet, that they have heard anything at all."""
        if id(mark) not in self._seen:
            found = (name for cache in self._audience() for name in cache.behind(mark.get(cache, 1)))
            self._seen[id(mark)] = tuple(found)
        return self._seen[id(mark)]

    def _problem(self, key: str, behind: tuple[str, ...]) -> Problem:
        known, workload = self._last.l7.services.get(key), self._last.workloads.get(key)
        kind = known.kind if known is not None else "Pod"
        found = known or workload
        namespace, name = (found.namespace, found.name) if found is not None else ("", key)
        who = f"{behind[0]}" + (f" and {len(behind) - 1} more" if len(behind) > 1 else "")
        text = (
            f"another waypoint was told, and {who} has not acknowledged it for {LONGEST:.0f} s: what it sends may be "
            "refused; see plait proxy-status, and restart the proxy or its node's agent"
        )
        return Problem(SILENT, "warning", kind, namespace, name, f"metadata.labels[{USE_WAYPOINT}]", text)
