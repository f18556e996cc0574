"""The heart of the store, without IO: the current objects, and what each write means for them.

A write is planned (`put`, `remove` give a Change with the next revision), written by the journal, then `apply`-ed.
The pure document rules live here too: birth, update, generation, no-op detection, deletion with grace and finalizers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from plait.resources.kinds import MESH_GROUPS, Kind
from plait.store.api import Document

Address = tuple[str, str]  # group, plural
Name = tuple[str, str]  # namespace, name
ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]

_FIXED = ("uid", "creationTimestamp", "name", "namespace", "deletionTimestamp", "deletionGracePeriodSeconds")
_COUNTED = {"apps", "batch", "apiextensions.k8s.io", "admissionregistration.k8s.io"} | MESH_GROUPS
_UNCOUNTED = {"", "coordination.k8s.io", "discovery.k8s.io", "rbac.authorization.k8s.io"}


class Record:
    """One stored document with its revision; the document is never changed after it is stored."""

    __slots__ = ("_encoded", "document", "revision")

    def __init__(self, document: Document, revision: int) -> None:
        self.document, self.revision = document, revision
        self._encoded: dict[str, bytes] = {}

    def encoded(self, api_version: str) -> bytes:
        """JSON bytes at a served apiVersion, made once for all readers."""
        found = self._encoded.get(api_version)
        if found is None:
            found = self._encoded[api_version] = orjson.dumps(self.at(api_version))
        return found

    def at(self, api_version: str) -> Document:
        """The document at a served apiVersion (all our multi-version kinds convert with strategy None)."""
        if self.document.get("apiVersion") == api_version:
            return self.document
        return {**self.document, "apiVersion": api_version}

    def copy(self) -> Document:
        """A document the caller may change."""
        copied: Document = orjson.loads(self.encoded(self.document["apiVersion"]))
        return copied


@dataclass(frozen=True, slots=True)
class Change:
    """One write. `record` of a DELETED carries the last content with the revision of the deletion."""

    type: ChangeType
    address: Address
    name: Name
    record: Record
    previous: Record | None

    @property
    def revision(self) -> int:
        return self.record.revision


class State:
    """All current objects by kind; strictly increasing `revision`."""

    def __init__(self, revision: int = 0) -> None:
        self.revision = revision
        self._objects: dict[Address, dict[Name, Record]] = {}

    def get(self, address: Address, name: Name) -> Record | None:
        return self._objects.get(address, {}).get(name)

    def list(self, address: Address, namespace: str = "") -> list[Record]:
        """Records of a kind, by namespace and name."""
        found = self._objects.get(address, {})
        return [found[name] for name in sorted(found) if not namespace or name[0] == namespace]

    def addresses(self) -> Iterator[Address]:
        yield from self._objects

    def put(self, address: Address, document: Document) -> Change:
        """Plan a creation or replacement; the document gets the next revision as its resourceVersion."""
        meta = document["metadata"]
        name = (meta.get("namespace", ""), meta["name"])
        previous = self.get(address, name)
        return Change("MODIFIED" if previous else "ADDED", address, name, self._next(document), previous)

    def remove(self, address: Address, name: Name, last: Document | None = None) -> Change:
        """Plan a removal; `last` is the final content when the removing write also changed it."""
        previous = self._objects[address][name]
        return Change("DELETED", address, name, self._next(last or previous.document), previous)

    def _next(self, document: Document) -> Record:
        revision = self.revision + 1
        meta = {**document["metadata"], "resourceVersion": str(revision)}
        return Record({**document, "metadata": meta}, revision)

    def apply(self, change: Change) -> None:
        """Make a planned change true. Changes apply strictly in revision order."""
        if change.revision <= self.revision:
            raise ValueError(f"revision {change.revision} is not after {self.revision}")
        self.revision = change.revision
        objects = self._objects.setdefault(change.address, {})
        if change.type == "DELETED":
            objects.pop(change.name, None)
        else:
            objects[change.name] = change.record


def stamp(now: float) -> str:
    """RFC 3339 with whole seconds, as Kubernetes writes times."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def counts_generations(kind: Kind) -> bool:
    return kind.group in _COUNTED or kind.group not in _UNCOUNTED or kind.kind == "Pod"


def born(kind: Kind, document: Document, *, uid: str, now: str) -> Document:
    """The document as first stored: identity set by the server, nothing left of what only a server may set."""
    meta = {k: v for k, v in document["metadata"].items() if k not in ("selfLink", "resourceVersion", "generation")}
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        meta.pop(key, None)
    meta |= {"uid": uid, "creationTimestamp": now}
    if counts_generations(kind):
        meta["generation"] = 1
    kept = {k: v for k, v in document.items() if k != "status" or "status" not in kind.subresources}
    return {**kept, "apiVersion": kind.api_version(), "kind": kind.kind, "metadata": meta}


def updated(kind: Kind, old: Document, new: Document, subresource: str = "") -> Document:
    """`new` joined onto `old`: the main endpoint ignores status, the status endpoint ignores all but status."""
    meta = dict(new["metadata"])
    if subresource == "status":
        meta = dict(old["metadata"])
        copied = ["managedFields"] + (["labels", "annotations"] if kind.kind in ("Pod", "Node", "Namespace") else [])
        for key in copied:
            if key in new["metadata"]:
                meta[key] = new["metadata"][key]
            else:
                meta.pop(key, None)
        joined = {k: v for k, v in old.items() if k != "status"}
        if "status" in new:
            joined["status"] = new["status"]
    else:
        for key in (*_FIXED, "generation", "resourceVersion"):
            meta.pop(key, None)
            if key in old["metadata"]:
                meta[key] = old["metadata"][key]
        joined = {k: v for k, v in new.items() if k != "status" or "status" not in kind.subresources}
        if "status" in old and "status" in kind.subresources:
            joined["status"] = old["status"]
    if counts_generations(kind) and _desired(joined) != _desired(old):
        meta["generation"] = old["metadata"].get("generation", 0) + 1
    return {**joined, "apiVersion": kind.api_version(), "kind": kind.kind, "metadata": meta}


def _desired(document: Document) -> Document:
    return {k: v for k, v in document.items() if k not in ("metadata", "status", "apiVersion", "kind")}


def same(old: Document, new: Document) -> bool:
    """Whether a write would change nothing: resourceVersion and managedFields' times do not count."""
    return _essence(old) == _essence(new)


def _essence(document: Document) -> Document:
    meta = {k: v for k, v in document["metadata"].items() if k != "resourceVersion" and v not in ({}, [], None)}
    if "managedFields" in meta:
        meta["managedFields"] = [{k: v for k, v in entry.items() if k != "time"} for entry in meta["managedFields"]]
    return {**document, "metadata": meta}


def finished(document: Document) -> bool:
    """Whether a document marked for deletion has nothing left that holds it."""
    meta = document["metadata"]
    if "deletionTimestamp" not in meta or meta.get("finalizers"):
        return False
    if document["kind"] == "Namespace" and document["apiVersion"] == "v1":
        return not document.get("spec", {}).get("finalizers")
    return not meta.get("deletionGracePeriodSeconds")


def deletion(document: Document, *, now: float, grace: int | None, propagation: str) -> tuple[Document, bool]:
    """The document after a delete call, and whether it is gone for good with it."""
    meta: dict[str, Any] = dict(document["metadata"])
    finalizers = [f for f in meta.get("finalizers", ()) if f not in ("orphan", "foregroundDeletion")]
    held = {"Orphan": ["orphan"], "Foreground": ["foregroundDeletion"]}.get(propagation, [])
    if propagation == "" and "finalizers" in meta:
        finalizers = list(meta["finalizers"])
    meta.pop("finalizers", None)
    if finalizers or held:
        meta["finalizers"] = finalizers + held
    seconds = _grace(document, grace)
    earlier = meta.get("deletionGracePeriodSeconds")
    if "deletionTimestamp" not in meta or (earlier is not None and seconds < earlier):
        meta["deletionTimestamp"] = stamp(now + seconds)
        meta["deletionGracePeriodSeconds"] = seconds
        if "generation" in meta and "deletionTimestamp" not in document["metadata"]:
            meta["generation"] += 1
    marked = {**document, "metadata": meta}
    if document["kind"] == "Namespace" and document["apiVersion"] == "v1":
        marked["status"] = {**document.get("status", {}), "phase": "Terminating"}
        meta.pop("deletionGracePeriodSeconds", None)
    return marked, finished(marked)


def _grace(document: Document, asked: int | None) -> int:
    if document["kind"] != "Pod":
        return 0
    if not document.get("spec", {}).get("nodeName") or document.get("status", {}).get("phase") in (
        "Succeeded",
        "Failed",
    ):
        return 0
    if asked is not None:
        return max(0, asked)
    return int(document["spec"].get("terminationGracePeriodSeconds", 30))
