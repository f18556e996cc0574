"""Clusters that wait until their proxy asks for them: its memory follows what it uses.

Which may wait, the translation says in each cluster. All of them are here, on the proxy's own node, so the first
request to a service needs no trip to the control plane. What was told once stays told: a mesh that grows takes no
cluster from a proxy that may be using it.
"""

from __future__ import annotations

from collections.abc import Mapping

from plait.base.bundle import Resource
from plait.envoy import names

Resources = Mapping[str, Resource]
_MARK = names.MD_ON_DEMAND.encode()
_NONE: Resources = {}


class Waiting:
    """Of one proxy. `early(clusters)` is what it is told at once, `find(url, name)` answers when it asks."""

    def __init__(self) -> None:
        self._whole = self._early = _NONE

    def early(self, clusters: Resources) -> Resources:
        """The same mapping as before where nothing in it changed."""
        if clusters is not self._whole:
            found = {name: each for name, each in clusters.items() if name in self._early or _MARK not in each.value}
            self._whole = clusters
            if len(found) == len(clusters):
                self._early = clusters
            elif found != self._early:
                self._early = found
        return self._early

    def find(self, type_url: str, name: str) -> Resource | None:
        return self._whole.get(name) if type_url == names.CLUSTER else None
