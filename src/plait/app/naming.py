"""The node's resolvers joined to its proxy: a captured pod is served when its listeners listen and its names resolve.

It stands between the capture driver and the proxy's configuration and is the driver's `Listeners`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from plait.base.dns_talk import Asked
from plait.base.wellknown import DNS_CAPTURE, DNS_CAPTURE_PORT
from plait.model.index import Index
from plait.model.views import names
from plait.node.driver import Listeners
from plait.node.forms import Target
from plait.node.translations import End, Translations, dialled
from plait.proxy import resolver
from plait.proxy.resolver import PodResolver
from plait.store.api import Document


def captured(pod: Document, default: bool) -> bool:
    """Are the names of this pod the mesh's business? Its annotation decides, else the mesh's setting."""
    said = (pod["metadata"].get("annotations") or {}).get(DNS_CAPTURE, "").lower()
    return default if said not in ("true", "false") else said == "true"


class Naming:
    """`index` gives the node's present copy of the mesh."""

    def __init__(self, listeners: Listeners, index: Callable[[], Index]) -> None:
        self._listeners, self._index = listeners, index
        self._resolvers: dict[str, PodResolver] = {}

    async def serve(self, target: Target) -> None:
        await self._listeners.serve(target)
        if target.dns and target.uid not in self._resolvers:
            meanings = partial(self._meaning, target.namespace)
            fresh = PodResolver(target.netns, meanings, _Origins(target.netns), dual=6 in target.families)
            try:
                await fresh.start()
            except BaseException:
                await fresh.close()
                raise
            self._resolvers[target.uid] = fresh

    async def withdraw(self, target: Target) -> None:
        await self._end(target.uid)
        await self._listeners.withdraw(target)

    async def close(self) -> None:
        for uid in list(self._resolvers):
            await self._end(uid)

    async def _end(self, uid: str) -> None:
        if (known := self._resolvers.pop(uid, None)) is not None:
            await known.close()

    def _meaning(self, namespace: str, name: str) -> names.Meaning | None:
        return names.lookup(self._index(), namespace, name)


class _Origins:
    def __init__(self, space: Path) -> None:
        self._translations = Translations(space)

    def asked(self, asked: Asked) -> End | None:
        if asked.connection is not None:
            return dialled(asked.connection)
        local = resolver.ADDRESS6 if ":" in asked.client[0] else resolver.ADDRESS
        return self._translations.original(asked.client, (local, DNS_CAPTURE_PORT))

    def close(self) -> None:
        self._translations.close()
