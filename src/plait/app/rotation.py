"""The change of the mesh's root, step by step: tell every node, wait for each word, sign anew, forget the old root.

The bundle goes out as a resource of the discovery stream (type ROOTS). A node whose proxy does not ask for that type (a
foreign ztunnel) learns the roots with each certificate, so it counts as told when its longest certificate has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from plait.app.trusting import ROOTS, Roots
from plait.base import aio
from plait.base.bundle import Resource, version_of
from plait.base.observe import logger
from plait.identity.custody import Custody, fingerprint
from plait.xds.session import SessionState

_NAME: Final = "roots"
_EVERY = 0.5
_log = logger("rotation")


def write(custody: Custody) -> dict[str, Resource]:
    value = msgspec.json.encode(Roots(custody.trust.bundle, fingerprint(custody.trust)))
    return {_NAME: Resource(_NAME, version_of(value), value)}


def untold(nodes: Iterable[str], sessions: Iterable[object], *, patience_over: bool) -> list[str]:
    """The nodes that have not acknowledged the present bundle."""
    told: set[str] = set()
    for state in sessions:
        if not isinstance(state, SessionState):
            continue
        known = state.types.get(ROOTS)
        if (known is None and patience_over) or (known is not None and known.current and not known.refused):
            told.add(node_of(state.node))
    return [node for node in nodes if node not in told]


def node_of(proxy_id: str) -> str:
    """`ztunnel~IP~ztunnel-<node>.<namespace>~…`: ours are called so, and those we start for others."""
    parts = proxy_id.split("~")
    return parts[2].rpartition(".")[0].removeprefix("ztunnel-") if len(parts) > 2 else ""


class Rotation:
    """`run` until cancelled. `publish` sends the bundle to all streams, `nodes` and `sessions` are asked each time."""

    def __init__(
        self,
        custody: Custody,
        publish: Callable[[dict[str, Resource]], None],
        nodes: Callable[[], Iterable[str]],
        sessions: Callable[[], Iterable[object]],
        lifetime: Callable[[], float],
    ) -> None:
        self._custody, self._publish, self._nodes, self._sessions = custody, publish, nodes, sessions
        self._lifetime = lifetime
        self.waiting: list[str] = []
        """Nodes whose word is missing, while the bundle is distributed."""
        publish(write(custody))

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            try:
                self.step(aio.now())
            except OSError as error:
                _log.error("the authority's folder cannot be read or written", error=error)

    def step(self, now: float) -> None:
        custody = self._custody
        if custody.look(now):
            self._publish(write(custody))
            return
        over = now - custody.since > self._lifetime()
        if custody.phase == "distributing":
            self.waiting = untold(self._nodes(), self._sessions(), patience_over=over)
            if not self.waiting:
                custody.promote(now)
                self._publish(write(custody))
        elif custody.phase == "retiring" and over:
            custody.retire()
            self._publish(write(custody))
