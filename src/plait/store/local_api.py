"""`LocalApi`: the `Api` Protocol in the API server's own process: the same pipeline, without HTTP.

Documents given out are copies; what comes in is not kept. The caller acts as `user`, unchecked by RBAC.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from plait.resources.kinds import Kind
from plait.store import errors, subresources
from plait.store.access import ADMIN, User
from plait.store.api import Document, PatchType, WatchEvent
from plait.store.ask import Ask
from plait.store.selectors import both
from plait.store.state import Record
from plait.store.tokens import Tokens
from plait.store.verbs import Verbs

BOOKMARK_SECONDS = 60.0


class LocalApi:
    """In-process access for controllers."""

    def __init__(self, verbs: Verbs, tokens: Tokens, clock: Callable[[], float], user: User = ADMIN) -> None:
        self._verbs, self._tokens, self._clock, self._user = verbs, tokens, clock, user

    def _ask(self, kind: Kind, namespace: str = "", name: str = "", subresource: str = "", manager: str = "") -> Ask:
        manager = manager or self._user.name
        place = namespace if kind.namespaced else ""
        return Ask(kind, kind.version, place, name, subresource, self._user, manager=manager, validation="Strict")

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Document:
        return self._verbs.get(self._ask(kind, namespace, name)).copy()

    async def list(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> tuple[list[Document], str]:
        records, revision = self._verbs.list(self._ask(kind, namespace), both(kind, labels, fields))
        return [record.copy() for record in records], str(revision)

    async def watch(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "", version: str = ""
    ) -> AsyncIterator[WatchEvent]:
        ask, match = self._ask(kind, namespace), both(kind, labels, fields)
        watches, state = self._verbs.storage.watches, self._verbs.storage.state

        def scoped(document: Document) -> bool:
            return (not namespace or document["metadata"].get("namespace") == namespace) and match(document)

        fresh = version in ("", "0")
        if not fresh and int(version) > state.revision:
            raise errors.too_large(int(version), state.revision)
        first = self._verbs.list(ask, match)[0] if fresh else None
        watcher = watches.open(ask.address, scoped, after=0 if fresh else int(version), first=first)
        try:
            while (events := await watcher.take(BOOKMARK_SECONDS)) is not None:
                for kind_of_event, record in events:
                    yield WatchEvent(kind_of_event, record.copy())
                if not events:
                    meta = {"resourceVersion": str(state.revision)}
                    yield WatchEvent(
                        "BOOKMARK", {"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": meta}
                    )
        finally:
            watches.close(ask.address, watcher)

    async def create(self, kind: Kind, document: Document, namespace: str = "") -> Document:
        place = namespace or document["metadata"].get("namespace", "")
        return (await self._verbs.create(self._ask(kind, place), document)).copy()

    async def replace(self, kind: Kind, document: Document, *, subresource: str = "") -> Document:
        meta = document["metadata"]
        ask = self._ask(kind, meta.get("namespace", ""), meta["name"], subresource)
        if subresource == "finalize":
            return Record(await subresources.finalize(self._verbs, ask, document), 0).copy()
        if subresource == "scale":
            return await subresources.rescale(self._verbs, ask, document, None)
        return (await self._verbs.update(ask, document))[0].copy()

    async def patch(
        self,
        kind: Kind,
        name: str,
        body: Any,
        namespace: str = "",
        *,
        type: PatchType = "merge",
        subresource: str = "",
        manager: str = "plait",
        force: bool = False,
    ) -> Document:
        ask = self._ask(kind, namespace, name, subresource, manager)
        if subresource == "scale":
            return await subresources.rescale(self._verbs, ask, body, type)
        return (await self._verbs.patch(ask, body, type, force=force))[0].copy()

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str = "",
        *,
        grace: int | None = None,
        uid: str = "",
        propagation: str = "Background",
    ) -> None:
        options: Document = {"propagationPolicy": propagation}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if uid:
            options["preconditions"] = {"uid": uid}
        await self._verbs.delete(self._ask(kind, namespace, name), options)

    async def create_subresource(
        self, kind: Kind, name: str, subresource: str, document: Document, namespace: str = ""
    ) -> Document:
        ask, now = self._ask(kind, namespace, name, subresource), self._clock()
        if subresource == "binding":
            return await subresources.bind(self._verbs, ask, document, now)
        if subresource == "eviction":
            return await subresources.evict(self._verbs, ask, document)
        if subresource == "token":
            return subresources.token(self._verbs, self._tokens, ask, document, now)
        raise errors.no_such_path(f"{kind}/{name}/{subresource}")
