"""Lingering: what a proxy is told for a while after its configuration no longer has it.

A filter chain that goes is drained: its connections are asked to end, and live for the drain time. What they use (their
routes, clusters and endpoints) has to live as long, or every request on them is answered with 503. New connections do
not find it: they start at a chain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from plait.base.bundle import Bundle, Resource
from plait.base.revision import differing
from plait.base.wellknown import DRAIN_SECONDS
from plait.envoy import names
from plait.envoy.l7.bundle import ENDPOINTS

SECONDS = DRAIN_SECONDS + 1.0
"""From when Envoy has acknowledged the change: then its workers begin to drain."""
_TYPES = (names.CLUSTER, ENDPOINTS, names.ROUTE)


class Lingering:
    """Of one proxy. `answered` says that it has acknowledged all that it was told."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._until: dict[tuple[str, str], float] = {}
        """Without end while the proxy has not acknowledged it."""

    def answered(self, now: float) -> None:
        self._until = {key: min(ends, now + self._seconds) for key, ends in self._until.items()}

    def added(self, told: Bundle, new: Bundle, now: float) -> Bundle:
        """`new`, and what of the bundle told before is not in it, but for what has been so for long enough."""
        types: dict[str, Mapping[str, Resource]] = dict(new.types)
        until: dict[tuple[str, str], float] = {}
        for url in _TYPES:
            fresh = new.of(url)
            kept: dict[str, Resource] = {}
            for name in differing(told.of(url), fresh):
                ends = self._until.get((url, name), math.inf)
                if name not in fresh and ends > now:
                    kept[name] = told.of(url)[name]
                    until[url, name] = ends
            if kept:
                types[url] = {**fresh, **kept}
        self._until = until
        return Bundle(types)

    @property
    def waits(self) -> bool:
        """For the proxy's acknowledgement."""
        return math.inf in self._until.values()

    @property
    def ends(self) -> float | None:
        """When there will be less."""
        return min((ends for ends in self._until.values() if ends < math.inf), default=None)
