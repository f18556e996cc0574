"""An `Api` in memory: CRUD, selectors, watch with history, and faults on demand (410, lost connection).

Deletion behaves as on a kube-apiserver: finalizers, pod grace, namespace finalizers, propagation policies. No schema,
no admission, no authorization: what needs those is tested against the real server.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Iterator
from typing import Any

from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import ApiError, Document, PatchType, WatchEvent

Key = tuple[str, str, str]  # str(kind), namespace, name


class MemoryApi:
    """`now` is the clock of its timestamps (RFC 3339). `log` holds (verb, kind, namespace/name) of every write."""

    def __init__(self) -> None:
        self.revision = 1
        self.compacted = 0
        self.now = "2026-01-01T00:00:00Z"
        self.log: list[tuple[str, str, str]] = []
        self._objects: dict[Key, Document] = {}
        self._history: list[tuple[int, Key, Document | None, Document | None]] = []  # revision, key, old, new
        self._watchers: list[asyncio.Queue[object]] = []
        self._faults: list[Exception] = []
        self._names = 0

    # -- faults ------------------------------------------------------------------------------------------------
    def disconnect(self) -> None:
        """Every open watch ends with ConnectionError."""
        for queue in list(self._watchers):
            queue.put_nowait(ConnectionError("connection lost (injected)"))

    def close_watches(self) -> None:
        """Every open watch ends cleanly, as at its timeoutSeconds."""
        for queue in list(self._watchers):
            queue.put_nowait(None)

    def compact(self) -> None:
        """Forget history: a watch from an older version answers 410."""
        self._history.clear()
        self.compacted = self.revision

    def bookmark(self) -> None:
        for queue in list(self._watchers):
            queue.put_nowait(WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": str(self.revision), "name": ""}}))

    def repeat(self) -> None:
        """A broken server: says the newest event again to every watcher."""
        if self._history:
            for queue in list(self._watchers):
                queue.put_nowait(self._history[-1])

    def fail_next(self, error: Exception) -> None:
        """The next list or write raises `error`."""
        self._faults.append(error)

    # -- reading -----------------------------------------------------------------------------------------------
    def all(self, kind: Kind, namespace: str = "") -> list[Document]:
        return [
            copy.deepcopy(o)
            for (k, ns, _), o in sorted(self._objects.items())
            if k == str(kind) and namespace in ("", ns)
        ]

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Document:
        await self._enter()
        return copy.deepcopy(self._found(kind, namespace, name))

    async def list(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> tuple[list[Document], str]:
        await self._enter()
        items = [o for o in self.all(kind, namespace) if _selected(o, labels, fields)]
        return items, str(self.revision)

    async def watch(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "", version: str = ""
    ) -> AsyncIterator[WatchEvent]:
        queue: asyncio.Queue[object] = asyncio.Queue()
        since = int(version or 0)
        if since < self.compacted:
            raise ApiError(410, "Expired", f"too old resource version: {version} ({self.compacted})")
        for item in self._history:
            if item[0] > since:
                queue.put_nowait(item)
        self._watchers.append(queue)
        try:
            while True:
                item = await queue.get()
                if item is None:
                    return
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, WatchEvent):
                    yield item
                    continue
                revision, key, old, new = item  # type: ignore[misc]
                if key[0] != str(kind) or namespace not in ("", key[1]):
                    continue
                was = old is not None and _selected(old, labels, fields)
                is_ = new is not None and _selected(new, labels, fields)
                if is_:
                    yield WatchEvent("MODIFIED" if was else "ADDED", copy.deepcopy(new))
                elif was:
                    gone = copy.deepcopy(new if new is not None else old)
                    gone["metadata"]["resourceVersion"] = str(revision)
                    yield WatchEvent("DELETED", gone)
        finally:
            self._watchers.remove(queue)

    # -- writing -----------------------------------------------------------------------------------------------
    async def create(self, kind: Kind, document: Document, namespace: str = "") -> Document:
        await self._enter()
        document = copy.deepcopy(document)
        metadata = document.setdefault("metadata", {})
        document.setdefault("apiVersion", kind.api_version())
        document.setdefault("kind", kind.kind)
        if kind.namespaced:
            namespace = metadata.setdefault("namespace", namespace or "default")
        if not metadata.get("name"):
            self._names += 1
            metadata["name"] = f"{metadata['generateName']}{self._names:05d}"
        key = (str(kind), namespace, metadata["name"])
        if key in self._objects:
            raise ApiError(409, "AlreadyExists", f'{kind} "{metadata["name"]}" already exists')
        metadata["uid"] = f"uid-{self.revision + 1}"
        metadata.setdefault("creationTimestamp", self.now)
        metadata["generation"] = 1
        if kind is kinds.NAMESPACE:
            document.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
            document.setdefault("status", {})["phase"] = "Active"
        if kind is kinds.POD:
            document.setdefault("status", {}).setdefault("phase", "Pending")
        return self._store("create", key, document)

    async def replace(self, kind: Kind, document: Document, *, subresource: str = "") -> Document:
        await self._enter()
        metadata = document["metadata"]
        old = self._found(kind, metadata.get("namespace", ""), metadata["name"])
        if metadata.get("resourceVersion", old["metadata"]["resourceVersion"]) != old["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "the object has been modified")
        return self._update(kind, old, copy.deepcopy(document), subresource)

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
        await self._enter()
        if type != "merge":
            raise ApiError(415, "UnsupportedMediaType", f"{type} patches are not built into the memory server")
        old = self._found(kind, namespace, name)
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted is not None and wanted != old["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "the object has been modified")
        uid = body.get("metadata", {}).get("uid")
        if uid is not None and uid != old["metadata"]["uid"]:
            raise ApiError(409, "Conflict", "the UID differs")
        return self._update(kind, old, _merge(copy.deepcopy(old), body), subresource)

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
        await self._enter()
        old = self._found(kind, namespace, name)
        if uid and uid != old["metadata"]["uid"]:
            raise ApiError(409, "Conflict", "the UID in the precondition differs")
        new = copy.deepcopy(old)
        metadata = new["metadata"]
        extra = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(propagation)
        if extra and extra not in metadata.get("finalizers", []):
            metadata["finalizers"] = [*metadata.get("finalizers", []), extra]
        graceful = kind is kinds.POD and grace != 0 and bool(new.get("spec", {}).get("nodeName"))
        held = metadata.get("finalizers") or (kind is kinds.NAMESPACE and new["spec"].get("finalizers"))
        key = (str(kind), namespace, name)
        if not held and not graceful:
            self._remove(key)
            return
        if "deletionTimestamp" not in metadata:
            metadata["deletionTimestamp"] = self.now
            metadata["deletionGracePeriodSeconds"] = 0 if grace == 0 else grace if grace is not None else 30
        if kind is kinds.NAMESPACE:
            new["status"]["phase"] = "Terminating"
        if new != old:
            self._store("delete", key, new)

    async def create_subresource(
        self, kind: Kind, name: str, subresource: str, document: Document, namespace: str = ""
    ) -> Document:
        await self._enter()
        old = self._found(kind, namespace, name)
        if (kind, subresource) == (kinds.POD, "binding"):
            if old["spec"].get("nodeName"):
                raise ApiError(409, "Conflict", f"pod {name} is already assigned to a node")
            new = copy.deepcopy(old)
            new["spec"]["nodeName"] = document["target"]["name"]
            self._store("bind", (str(kind), namespace, name), new)
            return document
        raise ApiError(404, "NotFound", f"{kind}/{subresource} is not built into the memory server")

    # -- inside ------------------------------------------------------------------------------------------------
    async def _enter(self) -> None:
        await asyncio.sleep(0)
        if self._faults:
            raise self._faults.pop(0)

    def _found(self, kind: Kind, namespace: str, name: str) -> Document:
        try:
            return self._objects[(str(kind), namespace, name)]
        except KeyError:
            raise ApiError(404, "NotFound", f'{kind} "{name}" not found') from None

    def _update(self, kind: Kind, old: Document, new: Document, subresource: str) -> Document:
        key = (str(kind), old["metadata"].get("namespace", ""), old["metadata"]["name"])
        if subresource == "status":
            new = {**copy.deepcopy(old), "status": new.get("status", {})}
        elif subresource == "finalize":
            new = {**copy.deepcopy(old), "spec": new["spec"]}
        elif "status" in kind.subresources:
            new = {k: v for k, v in new.items() if k != "status"}
            if "status" in old:
                new["status"] = copy.deepcopy(old["status"])
        for field in ("uid", "creationTimestamp", "deletionTimestamp", "generation", "namespace"):
            if field in old["metadata"]:
                new["metadata"][field] = old["metadata"][field]
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        if new == old:
            return copy.deepcopy(old)
        result = self._store("update", key, new)
        metadata = result["metadata"]
        held = metadata.get("finalizers") or (kind is kinds.NAMESPACE and result["spec"].get("finalizers"))
        if "deletionTimestamp" in metadata and not held and kind is not kinds.POD:
            self._remove(key)
        return result

    def _store(self, verb: str, key: Key, new: Document) -> Document:
        old = self._objects.get(key)
        self.revision += 1
        new["metadata"]["resourceVersion"] = str(self.revision)
        self._objects[key] = new
        self._publish(verb, key, old, new)
        return copy.deepcopy(new)

    def _remove(self, key: Key) -> None:
        self.revision += 1
        self._publish("remove", key, self._objects.pop(key), None)

    def _publish(self, verb: str, key: Key, old: Document | None, new: Document | None) -> None:
        self.log.append((verb, key[0], f"{key[1]}/{key[2]}".lstrip("/")))
        item = (self.revision, key, copy.deepcopy(old), copy.deepcopy(new))
        self._history.append(item)
        for queue in list(self._watchers):
            queue.put_nowait(item)


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    if not isinstance(target, dict):
        target = {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = _merge(target.get(name), value)
    return target


def _selected(document: Document, labels: str, fields: str) -> bool:
    mine = document["metadata"].get("labels") or {}
    return all(mine.get(name) == value for name, value in _pairs(labels)) and all(
        _field(document, path) == value for path, value in _pairs(fields)
    )


def _pairs(selector: str) -> Iterator[tuple[str, str]]:
    for term in filter(None, selector.split(",")):
        name, _, value = term.partition("=")
        yield name.strip(), value.lstrip("=").strip()


def _field(document: Document, path: str) -> str:
    value: Any = document
    for step in path.split("."):
        value = value.get(step, "") if isinstance(value, dict) else ""
    return str(value)
