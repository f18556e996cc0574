"""What controllers share: one informer a kind, and writing so that a controller always sees its own writes.

A controller that acted on a cache older than its last write would create everything twice. So `write` returns only
when the caches have caught up with it; reconcile functions then need no bookkeeping of what is under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from plait.base import aio
from plait.base.observe import logger
from plait.local.controllers.events import event_document
from plait.local.controllers.writes import Bind, Create, Delete, Emit, Patch, Replace, Write
from plait.resources import kinds as known
from plait.resources.kinds import EVENT, POD, Kind
from plait.store.api import Api, ApiError, Document
from plait.store.informer import Informer
from plait.store.state import Address

Effect = Callable[[Informer], bool]
_log = logger("controllers")
_CATCH_UP = 10.0  # seconds for a cache to see a write; longer means that its watch is broken, and the key is retried


def controllers_of(document: Document) -> list[str]:
    """UID of the managing owner, as an index value."""
    return [r["uid"] for r in document["metadata"].get("ownerReferences") or () if r.get("controller")]


def owners_of(document: Document) -> list[str]:
    return [r["uid"] for r in document["metadata"].get("ownerReferences") or ()]


def namespace_of(document: Document) -> list[str]:
    return [document["metadata"].get("namespace", "")]


def node_of(document: Document) -> list[str]:
    return [(document.get("spec") or {}).get("nodeName") or ""]


class Cluster:
    """The caches and the pen. `kinds` are all kinds that any controller reads."""

    def __init__(self, api: Api, kinds: Iterable[Kind]) -> None:
        self.api = api
        self.informers: dict[Kind, Informer] = {}
        self.custom: dict[Address, Informer] = {}  # kinds of CRDs, which come and go
        self.departed: set[tuple[str, str]] = set()  # (group, kind) of CRDs that went while we looked
        self._on_custom: list[Callable[[Informer], None]] = []
        for kind in dict.fromkeys(kinds):
            self.informers[kind] = self._informer(kind)

    def _informer(self, kind: Kind) -> Informer:
        indexers = {"controller": controllers_of, "owner": owners_of, "namespace": namespace_of}
        if kind is POD:
            indexers["node"] = node_of
        return Informer(self.api, kind, indexers=indexers)

    def __getitem__(self, kind: Kind) -> Informer:
        return self.informers[kind]

    def find(self, kind: Kind) -> Informer | None:
        """The cache of any kind, of a CRD too as long as that is served."""
        return self.informers.get(kind) or self.custom.get((kind.group, kind.plural))

    def kind_of(self, reference: Document) -> Kind | None:
        """The kind an apiVersion and kind name, if it has a cache here."""
        group = str(reference.get("apiVersion", "")).rpartition("/")[0]
        found = known.by_document(reference)
        if found is not None:
            return found if found in self.informers else None
        name = reference.get("kind")
        return next((i.kind for i in self.custom.values() if (i.kind.group, i.kind.kind) == (group, name)), None)

    def on_custom(self, handler: Callable[[Informer], None]) -> None:
        """Call `handler` with the cache of every custom kind, of those there already and of later ones."""
        self._on_custom.append(handler)
        for informer in list(self.custom.values()):
            handler(informer)

    def add_custom(self, kind: Kind) -> Informer:
        """A new cache for a CRD's kind, in place of an older one. The caller runs it."""
        informer = self.custom[kind.group, kind.plural] = self._informer(kind)
        self.departed.discard((kind.group, kind.kind))
        for handler in self._on_custom:
            handler(informer)
        return informer

    def remove_custom(self, kind: Kind) -> None:
        """The CRD is gone, and all its objects with it."""
        self.departed.add((kind.group, kind.kind))
        if (informer := self.custom.pop((kind.group, kind.plural), None)) is not None:
            informer.clear()

    def custom_synced(self) -> bool:
        """Whether the caches of all custom kinds are complete."""
        return all(informer.synced.is_set() for informer in self.custom.values())

    def controlled(self, kind: Kind, owner: Document) -> list[Document]:
        return self.informers[kind].indexed("controller", owner["metadata"]["uid"])

    def in_namespace(self, kind: Kind, namespace: str) -> list[Document]:
        return self.informers[kind].indexed("namespace", namespace)

    async def write(self, writes: Iterable[Write]) -> None:
        """Do the writes in order. ApiError (Conflict and worse) stops them; what is gone or already there does not."""
        effects: list[tuple[Kind, Effect]] = []
        try:
            for write in writes:
                try:
                    effects += await self._one(write)
                except ApiError as error:
                    if error.code == 404 or (isinstance(write, Create) and error.reason == "AlreadyExists"):
                        _log.debug("nothing to write", write=type(write).__name__, error=error)
                        continue
                    if isinstance(write, Create):
                        await self._complain(write, error)
                    raise
        finally:
            for kind, effect in effects:
                await self._until(kind, effect)

    async def _one(self, write: Write) -> list[tuple[Kind, Effect]]:
        match write:
            case Create(kind, document):
                made = await self.api.create(kind, document, document["metadata"].get("namespace", ""))
                return [(kind, _reached(made))]
            case Patch(kind, namespace, name, body, subresource, version):
                patch = dict(body)
                if version:
                    patch["metadata"] = {**patch.get("metadata", {}), "resourceVersion": version}
                made = await self.api.patch(kind, name, patch, namespace, subresource=subresource)
                return [(kind, _reached(made))]
            case Replace(kind, document, subresource):
                return [(kind, _reached(await self.api.replace(kind, document, subresource=subresource)))]
            case Delete(kind, namespace, name, uid, grace, propagation):
                await self.api.delete(kind, name, namespace, grace=grace, uid=uid, propagation=propagation)
                return [(kind, _gone(namespace, name, uid))]
            case Bind(namespace, pod, uid, node):
                await self.api.create_subresource(POD, pod, "binding", _binding(namespace, pod, uid, node), namespace)
                return [(POD, _bound(namespace, pod))]
            case Emit():
                await self._emit(write)
        return []

    async def _complain(self, create: Create, error: ApiError) -> None:
        """Tell the owner of what could not be made why: a refusing webhook is found in `kubectl describe`."""
        metadata = create.document["metadata"]
        for reference in metadata.get("ownerReferences") or ():
            about = {**reference, "metadata": {**reference, "namespace": metadata.get("namespace", "")}}
            await self._emit(Emit(about, "FailedCreate", f"Error creating: {error}", "controllers", "Warning"))

    async def _emit(self, emit: Emit) -> None:
        document = event_document(emit, aio.now())
        metadata = document["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        try:
            try:
                await self.api.create(EVENT, document, namespace)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
                count = int((await self.api.get(EVENT, name, namespace)).get("count") or 1) + 1
                again = {"count": count, "lastTimestamp": document["lastTimestamp"]}
                await self.api.patch(EVENT, name, again, namespace)
        except ApiError as error:  # an event is a courtesy: never a reason to stop working
            _log.debug("event not recorded", reason=emit.reason, error=error)

    async def _until(self, kind: Kind, caught_up: Effect) -> None:
        informer = self.find(kind)
        if informer is None:
            return
        async with asyncio.timeout(_CATCH_UP):
            await informer.wait_for(lambda _: caught_up(informer))


def _reached(made: Document) -> Effect:
    version = str(made["metadata"].get("resourceVersion", ""))
    return lambda i: not version.isdecimal() or (i.version.isdecimal() and int(i.version) >= int(version))


def _gone(namespace: str, name: str, uid: str) -> Effect:
    def gone(informer: Informer) -> bool:
        there = informer.get(name, namespace)
        return there is None or there["metadata"]["uid"] != uid or "deletionTimestamp" in there["metadata"]

    return gone


def _bound(namespace: str, name: str) -> Effect:
    return lambda i: (pod := i.get(name, namespace)) is None or bool(pod["spec"].get("nodeName"))


def _binding(namespace: str, pod: str, uid: str, node: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod, "namespace": namespace, "uid": uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }
