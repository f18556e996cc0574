"""Answers to on-demand cluster names, each made once for the world it is about.

Envoy subscribes to every name it ever asked for, and a session looks all of them up at each request and each change.
Without a memory the first connection to the hundredth destination would wait for a hundred translations.
"""

from __future__ import annotations

from plait.base.bundle import Resource
from plait.envoy import names
from plait.envoy.options import Options
from plait.envoy.roles import node as role
from plait.model.views.destinations import Destination
from plait.model.views.node import NodeView


class Answers:
    """`of` gives the answer of a view; it is the same object as long as the destination behind the name is equal."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._view: NodeView | None = None
        self._current: dict[str, Resource] = {}
        self._made: dict[str, tuple[Destination | None, Resource]] = {}

    def of(self, view: NodeView, name: str) -> Resource:
        if view is not self._view:
            self._view, self._current = view, {}
        if (known := self._current.get(name)) is None:
            known = self._current[name] = self._answer(view, name)
        return known

    def _answer(self, view: NodeView, name: str) -> Resource:
        wanted = names.destination_of(name)
        found = view.destination(*wanted) if wanted is not None else None
        before = self._made.get(name)
        if before is not None and before[0] == found:
            return before[1]
        made = role.destination_resource(view, name, self._options)
        self._made[name] = (found, made)
        return made
