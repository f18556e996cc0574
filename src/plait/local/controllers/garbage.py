"""Owner references: what goes when its owner is gone (background), before it goes (foreground), or stays (orphan).

A cache may know a dependent before its owner, so "the owner is gone" is asked of the server before anything is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from plait.base import aio
from plait.base.observe import logger
from plait.local.controllers.cluster import Cluster
from plait.local.controllers.workqueue import WorkQueue
from plait.local.controllers.writes import Patch, Write, remove
from plait.resources import kinds
from plait.resources.kinds import EVENT, Kind
from plait.store.api import ApiError, Document

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
KINDS: tuple[Kind, ...] = tuple(kind for kind in kinds.ALL if kind is not EVENT)
Found = tuple[Kind, Document]
_log = logger("controllers.garbage")


def dependent(kind: Kind, document: Document, gone: Callable[[Document], bool | None]) -> list[Write]:
    """`gone(ownerReference)`: the owner is no longer there; None when nobody can know (a kind that is not served)."""
    metadata = document["metadata"]
    references = metadata.get("ownerReferences") or []
    if not references or "deletionTimestamp" in metadata:
        return []
    absent = [reference for reference in references if gone(reference)]
    if not absent:
        return []
    if len(absent) == len(references):
        held = metadata.get("finalizers") or []
        policy = "Orphan" if ORPHAN in held else "Foreground" if FOREGROUND in held else "Background"
        return [remove(kind, document, propagation=policy)]
    return [_owners(kind, document, [r for r in references if r not in absent])]


def owner(kind: Kind, document: Document, dependents: Sequence[Found]) -> list[Write]:
    """What an object that is being deleted with a policy finalizer asks of its dependents."""
    metadata = document["metadata"]
    held = metadata.get("finalizers") or []
    if "deletionTimestamp" not in metadata:
        return []
    if ORPHAN in held:
        freed: list[Write] = [
            _owners(k, d, [r for r in d["metadata"]["ownerReferences"] if r["uid"] != metadata["uid"]])
            for k, d in dependents
        ]
        return [*freed, _let_go(kind, document, ORPHAN)]
    if FOREGROUND not in held:
        return []
    if not any(_blocks(d, metadata["uid"]) for _, d in dependents):
        return [_let_go(kind, document, FOREGROUND)]
    return [remove(k, d, propagation="Foreground") for k, d in dependents if "deletionTimestamp" not in d["metadata"]]


def _blocks(document: Document, uid: str) -> bool:
    return any(r["uid"] == uid and r.get("blockOwnerDeletion") for r in document["metadata"]["ownerReferences"])


def _owners(kind: Kind, document: Document, references: list[Document]) -> Patch:
    metadata = document["metadata"]
    body = {"metadata": {"ownerReferences": references or None}}
    return Patch(kind, metadata.get("namespace", ""), metadata["name"], body, version=metadata["resourceVersion"])


def _let_go(kind: Kind, document: Document, finalizer: str) -> Patch:
    metadata = document["metadata"]
    left = [other for other in metadata["finalizers"] if other != finalizer]
    body = {"metadata": {"finalizers": left or None}}
    return Patch(kind, metadata.get("namespace", ""), metadata["name"], body, version=metadata["resourceVersion"])


class Collector:
    """The shell: looks at every object that has an owner or is being deleted, and at the dependents of what went."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._queue: WorkQueue[tuple[Kind, str, str]] = WorkQueue()
        for kind in KINDS:
            cluster[kind].on_change(self._listener(kind))
        cluster.on_custom(lambda informer: informer.on_change(self._listener(informer.kind)))

    def _listener(self, kind: Kind) -> Callable[[Document | None, Document | None], None]:
        def changed(old: Document | None, new: Document | None) -> None:
            if new is not None:
                if new["metadata"].get("ownerReferences") or "deletionTimestamp" in new["metadata"]:
                    self._add(kind, new)
            elif old is not None:
                for found, document in self._dependents(old["metadata"]["uid"]):
                    self._add(found, document)
                for reference in old["metadata"].get("ownerReferences") or ():
                    if (up := self._kind_of(reference)) is not None:  # a foreground deletion may be waiting for this
                        namespace = old["metadata"].get("namespace", "") if up.namespaced else ""
                        self._queue.add((up, namespace, reference["name"]))

        return changed

    def _add(self, kind: Kind, document: Document) -> None:
        self._queue.add((kind, document["metadata"].get("namespace", ""), document["metadata"]["name"]))

    def _dependents(self, uid: str) -> list[Found]:
        informers = [*(self._cluster[kind] for kind in KINDS), *self._cluster.custom.values()]
        return [(informer.kind, d) for informer in informers for d in informer.indexed("owner", uid)]

    async def run(self) -> None:
        for kind in KINDS:
            await self._cluster[kind].synced.wait()
        workers = [aio.spawn(self._work(), f"garbage {number}") for number in range(4)]
        try:
            await asyncio.gather(*workers)
        finally:
            self._queue.close()
            await aio.cancel(*workers)

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._turn(*key)
            except (ApiError, OSError, TimeoutError) as error:
                _log.debug("will retry", object=key, error=repr(error))
                self._queue.failed(key)
            except Exception as error:  # an odd document must not end the collector
                _log.error("failed", object=key, exc_info=error)
                self._queue.failed(key)
            else:
                self._queue.succeeded(key)
            finally:
                self._queue.done(key)

    async def _turn(self, kind: Kind, namespace: str, name: str) -> None:
        informer = self._cluster.find(kind)
        document = informer.get(name, namespace) if informer is not None else None
        if document is None:
            return
        metadata = document["metadata"]
        if "deletionTimestamp" in metadata and not self._cluster.custom_synced():
            raise TimeoutError("dependents of custom kinds are not known yet")
        writes = owner(kind, document, self._dependents(metadata["uid"]))
        absent = await self._absent(namespace, metadata.get("ownerReferences") or ())
        writes += dependent(kind, document, lambda reference: reference["uid"] in absent)
        await self._cluster.write(writes)

    async def _absent(self, namespace: str, references: Iterable[Document]) -> set[str]:
        """UIDs of owners that the server, asked now, no longer has."""
        absent = set()
        for reference in references:
            kind = self._kind_of(reference)
            if kind is None:
                group = str(reference.get("apiVersion", "")).rpartition("/")[0]
                if (group, reference.get("kind")) in self._cluster.departed:
                    absent.add(reference["uid"])  # its definition went, and took all its objects along
                continue
            within = namespace if kind.namespaced else ""
            informer = self._cluster.find(kind)
            cached = informer.get(reference["name"], within) if informer is not None else None
            if cached is not None and cached["metadata"]["uid"] == reference["uid"]:
                continue
            try:
                live = await self._cluster.api.get(kind, reference["name"], within)
            except ApiError as error:
                if error.code != 404:
                    raise
                absent.add(reference["uid"])
            else:
                if live["metadata"]["uid"] != reference["uid"]:
                    absent.add(reference["uid"])
        return absent

    def _kind_of(self, reference: Document) -> Kind | None:
        kind = self._cluster.kind_of(reference)
        return kind if kind is not EVENT else None
