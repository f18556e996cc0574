"""The life of CustomResourceDefinitions in a running server: which are served, and how one ends with its objects.

A deleted definition stays, Terminating, until the last of its objects is gone, finalizers and all. What a definition
means is crds.py's; reading and writing go through `verbs`.
"""

from __future__ import annotations

from plait.resources.kinds import CRD, Kind
from plait.store import errors
from plait.store.api import Document
from plait.store.schema import crds
from plait.store.schema.schemas import Schemas
from plait.store.state import Address, Record
from plait.store.storage import Storage
from plait.store.strategies import table as strategies

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_CRDS: Address = (CRD.group, CRD.plural)


class Definitions:
    """The definitions of one API server."""

    def __init__(self, storage: Storage, schemas: Schemas) -> None:
        self._storage, self._schemas = storage, schemas
        for record in storage.state.list(_CRDS):
            self.serve(record.document)

    def serve(self, document: Document) -> None:
        """Serve its kind as it now stands, if its names were accepted and the kind is not one of our own."""
        if not strategies.is_builtin(document) and crds.established(document):
            self._schemas.add_crd(document)

    def of(self, kind: Kind) -> Record | None:
        """The stored definition of a kind; our own kinds have one when somebody applied it."""
        return self._storage.state.get(_CRDS, ("", f"{kind.plural}.{kind.group}"))

    def columns(self, kind: Kind, version: str) -> list[Document]:
        """additionalPrinterColumns of a kind."""
        found = self.of(kind)
        return crds.columns_of(found.document, version) if found else []

    def scale(self, kind: Kind, version: str) -> Document | None:
        """The paths of a kind's scale subresource; None for kinds of our own, which need none."""
        found = self.of(kind)
        if found is None or strategies.is_builtin(found.document):
            return None
        return crds.scale_of(found.document, version)

    def refuse_new(self, kind: Kind) -> None:
        """No objects of a kind that is going away."""
        found = self.of(kind) if kind in self._schemas.crd_kinds() else None
        if found is not None and "deletionTimestamp" in found.document["metadata"]:
            raise errors.not_allowed(f"create: the definition of {kind} is terminating")

    def ending(self, document: Document, now: str) -> Document:
        """A definition as a delete call must leave it: held until its objects are gone."""
        if strategies.is_builtin(document) or not crds.established(document):
            return document
        meta = dict(document["metadata"])
        meta["finalizers"] = [*(f for f in meta.get("finalizers") or () if f != CLEANUP), CLEANUP]
        return {**document, "metadata": meta, "status": crds.terminating(document, now=now)}

    def objects(self, document: Document) -> tuple[Kind, list[Record]]:
        """What is left of a definition's kind."""
        kind = crds.kind_of(document)
        return kind, self._storage.state.list((kind.group, kind.plural))

    def released(self, kind: Kind) -> Record | None:
        """The definition of `kind` if it only waited for the last object, which is gone; else None."""
        found = self.of(kind)
        if found is None or CLEANUP not in (found.document["metadata"].get("finalizers") or ()):
            return None
        if "deletionTimestamp" not in found.document["metadata"] or self.objects(found.document)[1]:
            return None
        return found

    def drop(self, document: Document, now: str) -> None:
        """The definition is going: no objects, no paths, and another may get its names."""
        if not strategies.is_builtin(document) and crds.established(document):
            kind, left = self.objects(document)
            address = (kind.group, kind.plural)
            for record in left:
                meta = record.document["metadata"]
                self._storage.remove(address, (meta.get("namespace", ""), meta["name"]))
            self._schemas.remove_crd(document["metadata"]["name"])
            self._storage.watches.close_all(address)
        self._accept_others(document, now)

    def _accept_others(self, gone: Document, now: str) -> None:
        for record in self._storage.state.list(_CRDS):
            other = record.document
            if other["metadata"]["name"] == gone["metadata"]["name"] or crds.established(other):
                continue
            taken = strategies.taken(self._storage.state, other, without=gone["metadata"]["name"])
            if not taken:
                status = crds.accepted(other, now=now)
                self.serve(self._storage.put(_CRDS, {**other, "status": status}).record.document)


def without_cleanup(document: Document) -> Document:
    """A definition that nothing of ours holds any longer."""
    meta = dict(document["metadata"])
    meta["finalizers"] = [each for each in meta["finalizers"] if each != CLEANUP]
    return {**document, "metadata": meta}
