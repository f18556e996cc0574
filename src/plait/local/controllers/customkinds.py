"""Which custom kinds are there? Keeps one cache for each served CustomResourceDefinition, for the garbage collector and
the namespace controller. Kinds that we serve ourselves are in the fixed table and not looked at here.
"""

from __future__ import annotations

import asyncio

from plait.base import aio
from plait.local.controllers.cluster import Cluster
from plait.resources import kinds
from plait.resources.kinds import CRD, Kind
from plait.store.api import Document
from plait.store.schema import crds


def served(document: Document | None) -> Kind | None:
    """The kind a definition brings to this server; None for one that is not served or not custom."""
    if document is None or not crds.established(document):
        return None
    kind = crds.kind_of(document)
    return None if any((k.group, k.kind) == (kind.group, kind.kind) for k in kinds.ALL) else kind


class CustomKinds:
    """Follows the definitions until cancelled."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._tasks: dict[str, asyncio.Task[None]] = {}
        cluster[CRD].on_change(self._changed)

    def _changed(self, old: Document | None, new: Document | None) -> None:
        before, after = served(old), served(new)
        if before == after:
            return
        if before is not None:
            self._stop(str(before))
            if after is None:
                self._cluster.remove_custom(before)
        if after is not None:
            informer = self._cluster.add_custom(after)
            self._tasks[str(after)] = aio.spawn(informer.run(), f"informer {after}")

    def _stop(self, name: str) -> None:
        if (task := self._tasks.pop(name, None)) is not None:
            task.cancel()

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await aio.cancel(*self._tasks.values())
