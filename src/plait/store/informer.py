"""Informer: what does the server hold of one kind, right now, and what changed since I last looked?

List, then watch; relist when the server forgot our version (410); retry when the connection is lost. Handlers see every
object at most once a version and never an older one than before. It writes nothing and knows no meaning of a kind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from plait.base import aio
from plait.base.observe import logger
from plait.resources.kinds import Kind
from plait.store.api import Api, ApiError, Document

Key = tuple[str, str]
Keep = Callable[[Document], Document]
Handler = Callable[[Document | None, Document | None], None]
Indexer = Callable[[Document], Iterable[str]]
_log = logger("informer")
_LONG = 5.0  # seconds; a watch that lived this long was healthy, whatever ended it
_STALE_LISTS = 5  # lists older than what we saw before we believe that the server lost its database


def key_of(document: Document) -> Key:
    """(namespace, name) of a document; the namespace is "" for cluster-scoped kinds."""
    metadata = document["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class Informer:
    """A live copy of one kind. `cache` and the documents in it are shared: read them, never change them."""

    def __init__(
        self,
        api: Api,
        kind: Kind,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        indexers: Mapping[str, Indexer] = MappingProxyType({}),
        keep: Keep = lambda document: document,
        retry: Callable[[], Iterator[float]] = aio.backoff,
    ) -> None:
        """`keep(document)`: what of each is kept, for readers of few fields; its metadata must have name, namespace,
        uid and resourceVersion. Handlers and indexers see that."""
        self.kind = kind
        self.synced = asyncio.Event()
        self.version = ""
        self._api, self._namespace, self._labels, self._fields = api, namespace, labels, fields
        self._cache: dict[Key, Document] = {}
        self.cache: Mapping[Key, Document] = MappingProxyType(self._cache)
        self._handlers: list[Handler] = []
        self._indexers = dict(indexers)
        self._keep = keep
        self._indexes: dict[str, dict[str, dict[Key, Document]]] = {name: {} for name in indexers}
        self._changed = asyncio.Event()
        self._retry = retry
        self._stale_lists = 0
        self._seen = ""  # the newest version ever reached; survives a relist, so that an old list is recognised

    def on_change(self, handler: Handler) -> None:
        """Call `handler(old | None, new | None)` for what is already there and for every later change."""
        self._handlers.append(handler)
        for document in list(self._cache.values()):
            self._call(handler, None, document)

    def get(self, name: str, namespace: str = "") -> Document | None:
        return self._cache.get((namespace, name))

    def indexed(self, index: str, value: str) -> list[Document]:
        """Documents for which the named indexer gave `value`."""
        return list(self._indexes[index].get(value, {}).values())

    def clear(self) -> None:
        """Everything is gone, and so is the kind: tell the handlers. For use when nothing runs this any more."""
        for key in list(self._cache):
            self._apply(key, None)
        self._wake()

    async def wait_for(self, predicate: Callable[[Mapping[Key, Document]], bool]) -> None:
        """Return once the cache is complete and satisfies `predicate`; bound it with asyncio.timeout."""
        while not (self.synced.is_set() and predicate(self.cache)):
            await self._changed.wait()

    async def run(self) -> None:
        """Follow the server until cancelled."""
        delays = self._retry()
        while True:
            before, started = self.version, asyncio.get_running_loop().time()
            try:
                if not self.version:
                    await self._relist()
                await self._follow()
            except ApiError as error:
                if error.code == 410:
                    _log.debug("version expired, listing again", kind=self.kind, version=self.version)
                    self.version = ""
                else:
                    _log.warning("server refused", kind=self.kind, code=error.code, error=error)
            except (OSError, TimeoutError, EOFError) as error:  # ConnectionError is an OSError
                _log.debug("connection lost", kind=self.kind, error=repr(error))
            if self.version != before != "" or asyncio.get_running_loop().time() - started > _LONG:
                delays = self._retry()  # progress was made: the next failure starts small again
            await asyncio.sleep(next(delays))

    async def _relist(self) -> None:
        items, version = await self._api.list(self.kind, self._namespace, labels=self._labels, fields=self._fields)
        if _older(version, self._seen) and self._stale_lists < _STALE_LISTS:
            self._stale_lists += 1
            raise ConnectionError(f"list at version {version} is older than {self._seen}")
        self._stale_lists = 0
        fresh = {key_of(item): item for item in items}
        for key in [key for key in self._cache if key not in fresh]:
            self._apply(key, None)
        for key, item in fresh.items():
            self._apply(key, item)
        self.version = self._seen = version
        self.synced.set()
        self._wake()

    async def _follow(self) -> None:
        events = self._api.watch(
            self.kind, self._namespace, labels=self._labels, fields=self._fields, version=self.version
        )
        async for event in events:
            version = str(event.object.get("metadata", {}).get("resourceVersion", ""))
            if version == self.version or _older(version, self.version):
                continue  # a repeat: at or before what we have already told
            if event.type != "BOOKMARK":
                self._apply(key_of(event.object), None if event.type == "DELETED" else event.object)
            if version:
                self.version = self._seen = version
            self._wake()

    def _apply(self, key: Key, new: Document | None) -> None:
        old = self._cache.get(key)
        if new is None:
            if old is None:
                return
            del self._cache[key]
        else:
            if old is not None and _version(old) == _version(new):
                return
            new = self._keep(_lean(new))
            if old is not None and old["metadata"].get("uid") != new["metadata"].get("uid"):
                # Deleted and made again while we were away: two objects, so two changes.
                del self._cache[key]
                self._reindex(key, old, None)
                self._tell(old, None)
                old = None
            self._cache[key] = new
        self._reindex(key, old, new)
        self._tell(old, new)

    def _reindex(self, key: Key, old: Document | None, new: Document | None) -> None:
        for name, indexer in self._indexers.items():
            index = self._indexes[name]
            for value in set(indexer(old)) if old is not None else ():
                bucket = index.get(value, {})
                bucket.pop(key, None)
                if not bucket:
                    index.pop(value, None)
            for value in indexer(new) if new is not None else ():
                index.setdefault(value, {})[key] = new  # type: ignore[assignment]

    def _tell(self, old: Document | None, new: Document | None) -> None:
        for handler in self._handlers:
            self._call(handler, old, new)

    def _call(self, handler: Handler, old: Document | None, new: Document | None) -> None:
        try:
            handler(old, new)
        except Exception as error:  # one reader's mistake must not stop the others
            _log.error("handler failed", kind=self.kind, error=repr(error), exc_info=error)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _version(document: Document) -> str:
    return str(document["metadata"].get("resourceVersion", ""))


def _older(version: str, than: str) -> bool:
    """Kubernetes' versions are decimal integers; of any other shape nothing is known but equality."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)


def _lean(document: Document) -> Document:
    """Without managedFields: half of many objects, and nobody here reads it. The server keeps it when it is absent."""
    metadata = document["metadata"]
    if "managedFields" not in metadata:
        return document
    return {**document, "metadata": {k: v for k, v in metadata.items() if k != "managedFields"}}
