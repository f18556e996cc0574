"""What each verb does, on both ways in (HTTP and in-process): the pipeline from a decoded body to a committed change.

decode -> unknown fields and defaults -> mutating webhooks -> schema, semantics and per-kind rules -> validating
webhooks -> managedFields -> compare-and-swap write. Between reading the present object and the write there may be
awaits (webhooks); the write itself is atomic and fails with Conflict when the object moved.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from plait.resources.kinds import CRD, NAMESPACE, Kind
from plait.store import errors
from plait.store.api import ApiError, Document, PatchType
from plait.store.ask import Admission, Ask
from plait.store.definitions import Definitions, without_cleanup
from plait.store.discovery import Catalog
from plait.store.intake import Intake
from plait.store.schema import crds
from plait.store.schema.schemas import Schemas
from plait.store.state import Record, born, deletion, finished, same, stamp, updated
from plait.store.storage import Storage
from plait.store.strategies import table as strategies

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_RETRIES = 8


class Verbs:
    """The verbs of one API server."""

    def __init__(
        self,
        storage: Storage,
        schemas: Schemas,
        *,
        clock: Callable[[], float],
        admission: Admission,
        context: strategies.Context,
    ) -> None:
        self.storage, self.schemas, self.catalog = storage, schemas, Catalog(schemas)
        self._clock, self._admission, self._context = clock, admission, context
        self._intake = Intake(schemas, context, clock)
        self.definitions = Definitions(storage, schemas)

    # -- reading -----------------------------------------------------------------------------------------------
    def get(self, ask: Ask) -> Record:
        found = self._find(ask)
        if found is None:
            raise errors.not_found(ask.kind, ask.name)
        return found

    def _find(self, ask: Ask) -> Record | None:
        return self.storage.state.get(ask.address, (ask.namespace if ask.kind.namespaced else "", ask.name))

    def list(self, ask: Ask, match: Callable[[Document], bool]) -> tuple[list[Record], int]:
        """Matching records and the revision at which this was the truth."""
        state = self.storage.state
        return [r for r in state.list(ask.address, ask.namespace) if match(r.document)], state.revision

    # -- writing -----------------------------------------------------------------------------------------------
    async def create(self, ask: Ask, document: Document, *, apply: bool = False) -> Record:
        """POST to a collection (or the creating half of an apply patch)."""
        given = self._intake.received(ask, document)
        meta = given["metadata"]
        if meta.get("resourceVersion"):
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
        if not meta.get("name") and meta.get("generateName"):
            suffix = "".join(secrets.choice(_LETTERS) for _ in range(5))
            meta["name"] = meta["generateName"][:58] + suffix
        if not meta.get("name"):
            raise errors.invalid(
                ask.kind, "", [("metadata.name", "name or generateName is required", "FieldValueRequired")]
            )
        ask = replace(ask, name=meta["name"])
        self.definitions.refuse_new(ask.kind)
        self._namespace_open(ask)
        if self._find(ask) is not None:
            raise errors.already_exists(ask.kind, ask.name)
        new = self._intake.cleaned(ask, given)
        strategies.default(self._context, ask.kind, new, None)
        mutated = await self._admission.mutate(ask, "CREATE", None, new)
        if mutated is not new:
            new = self._intake.cleaned(ask, mutated, quiet=True)
            strategies.default(self._context, ask.kind, new, None)  # what a webhook added wants its defaults too
        now = stamp(self._clock())
        new = born(ask.kind, new, uid=str(uuid.uuid4()), now=now)
        strategies.prepare(self._context, ask.kind, new, None, now)
        self._intake.checked(ask, None, new)
        await self._admission.validate(ask, "CREATE", None, new)
        if self._find(ask) is not None:
            raise errors.already_exists(ask.kind, ask.name)
        self._namespace_open(ask)
        strategies.allocate(self._context, ask.kind, new, None)
        if not apply:
            new = self._intake.recorded(ask, None, new, now)
        return self._commit(ask, None, new)

    async def update(self, ask: Ask, document: Document) -> tuple[Record, bool]:
        """PUT: the record, and whether it was created."""
        given = self._intake.received(ask, document)
        meta = given["metadata"]
        wanted, uid = meta.get("resourceVersion") or "", meta.get("uid") or ""
        if wanted and not wanted.isdigit():
            raise errors.bad_request(f"invalid metadata.resourceVersion {wanted!r}: copy it from the object you read")
        for attempt in range(_RETRIES):
            old = self.get(ask)
            if wanted and wanted != "0" and wanted != str(old.revision):
                raise errors.conflict(ask.kind, ask.name)
            if uid and uid != old.document["metadata"]["uid"]:
                raise errors.conflict(ask.kind, ask.name, _uid_differs(uid, old))
            if not wanted and self.catalog.is_custom(ask.kind):
                why = "must be specified for an update"
                raise errors.invalid(ask.kind, ask.name, [("metadata.resourceVersion", why, "FieldValueInvalid")])
            try:
                return await self._replace(ask, old, given), False
            except ApiError as error:
                if error.reason != "Conflict" or wanted or attempt == _RETRIES - 1:
                    raise
        raise AssertionError("unreachable")

    async def patch(self, ask: Ask, body: Any, how: PatchType, *, force: bool = False) -> tuple[Record, bool]:
        """PATCH: the record, and whether it was created (apply only)."""
        if how == "strategic" and self.catalog.is_custom(ask.kind):
            raise errors.unsupported_media(
                "application/strategic-merge-patch+json",
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )
        for attempt in range(_RETRIES):
            old = self._find(ask)
            if old is None and (how != "apply" or ask.subresource):
                raise errors.not_found(ask.kind, ask.name)
            try:
                if how == "apply":
                    new = self._intake.applied(ask, old, body, force)
                    if old is None:
                        return await self.create(ask, new, apply=True), True
                else:
                    assert old is not None
                    present = {**old.copy(), "apiVersion": ask.kind.api_version(ask.version)}
                    new = self._intake.patched(ask, present, body, how)
                    given = new.get("metadata", {}).get("resourceVersion")
                    if given and given != str(old.revision):
                        raise errors.conflict(ask.kind, ask.name)
                    if (uid := new.get("metadata", {}).get("uid")) and uid != old.document["metadata"]["uid"]:
                        raise errors.conflict(ask.kind, ask.name, _uid_differs(uid, old))
                return await self._replace(ask, old, self._intake.received(ask, new), apply=how == "apply"), False
            except ApiError as error:
                pinned = isinstance(body, dict) and (body.get("metadata") or {}).get("resourceVersion")
                if error.reason not in ("Conflict", "AlreadyExists") or pinned or attempt == _RETRIES - 1:
                    raise
                if error.details.get("causes"):  # field manager conflicts do not go away by trying again
                    raise
        raise AssertionError("unreachable")

    async def _replace(self, ask: Ask, old: Record, given: Document, *, apply: bool = False) -> Record:
        """The common second half of PUT and PATCH."""
        kind, now = ask.kind, stamp(self._clock())
        new = updated(kind, old.document, self._intake.cleaned(ask, given), ask.subresource)
        if not ask.subresource:
            strategies.default(self._context, kind, new, old.document)
        mutated = await self._admission.mutate(ask, "UPDATE", old.document, new)
        if mutated is not new:
            new = updated(kind, old.document, self._intake.cleaned(ask, mutated, quiet=True), ask.subresource)
            if not ask.subresource:
                strategies.default(self._context, kind, new, old.document)
        strategies.prepare(self._context, kind, new, old.document, now, ask.subresource)
        self._intake.checked(ask, old.document, new)
        await self._admission.validate(ask, "UPDATE", old.document, new)
        if not apply:
            new = self._intake.recorded(ask, old.document, new, now)
        if self._find(ask) is not old:
            raise errors.conflict(kind, ask.name)
        if not ask.subresource:
            strategies.allocate(self._context, kind, new, old.document)
        if same(old.document, new):
            return old
        return self._commit(ask, old, new)

    async def delete(self, ask: Ask, options: Document) -> tuple[Record, bool]:
        """The record after the call, and whether the object is gone with it."""
        for _ in range(_RETRIES):
            old = self.get(ask)
            meta = old.document["metadata"]
            wanted = options.get("preconditions") or {}
            if wanted.get("uid") and wanted["uid"] != meta["uid"]:
                raise errors.conflict(ask.kind, ask.name, _uid_differs(wanted["uid"], old))
            if wanted.get("resourceVersion") and wanted["resourceVersion"] != meta["resourceVersion"]:
                raise errors.conflict(ask.kind, ask.name, "the ResourceVersion in the precondition does not match")
            strategies.deletable(ask.kind, old.document)
            await self._admission.validate(ask, "DELETE", old.document, None)
            if self._find(ask) is not old:
                continue
            orphan = options.get("orphanDependents")
            propagation = options.get("propagationPolicy") or ("Orphan" if orphan else "")
            grace = options.get("gracePeriodSeconds")
            held = old.document
            if ask.kind == CRD:
                held = self.definitions.ending(held, stamp(self._clock()))
            marked, gone = deletion(held, now=self._clock(), grace=grace, propagation=propagation)
            if ask.dry_run:
                return Record(marked, old.revision), gone
            if gone:
                return self._gone(ask, marked), True
            if not same(old.document, marked):
                old = self.storage.put(ask.address, marked).record
            if ask.kind == CRD:
                return await self._clear(ask, old)
            return old, False
        raise errors.conflict(ask.kind, ask.name)

    def finalize(self, ask: Ask, finalizers: Sequence[str]) -> Record:
        """Replace a Namespace's spec.finalizers; with none left, a deleted Namespace is gone."""
        old = self.get(ask)
        new = {**old.document, "spec": {**old.document.get("spec", {}), "finalizers": list(finalizers)}}
        return old if same(old.document, new) else self._commit(ask, old, new)

    async def admit(self, ask: Ask, operation: str, old: Document | None, new: Document) -> Document:
        """Both rounds of webhooks for a body that is no stored object: Scale, Binding, Eviction."""
        changed = await self._admission.mutate(ask, operation, old, new)
        await self._admission.validate(ask, operation, old, changed)
        return changed

    def _commit(self, ask: Ask, old: Record | None, new: Document) -> Record:
        if ask.dry_run:
            return Record(new, old.revision if old else 0)
        if finished(new):
            return self._gone(ask, new)
        record = self.storage.put(ask.address, new).record
        if ask.kind == CRD:
            self.definitions.serve(record.document)
            ask.warnings += crds.unenforced(record.document)
        for kind, document in strategies.companions(ask.kind, record.document) if old is None else ():
            if self.storage.state.get((kind.group, kind.plural), (ask.name, document["metadata"]["name"])) is None:
                whole = born(kind, document, uid=str(uuid.uuid4()), now=stamp(self._clock()))
                self.storage.put((kind.group, kind.plural), whole)
        return record

    def _gone(self, ask: Ask, last: Document) -> Record:
        if ask.kind == CRD:
            self.definitions.drop(last, stamp(self._clock()))
        meta = last["metadata"]
        record = self.storage.remove(ask.address, (meta.get("namespace", ""), meta["name"]), last).record
        if ask.kind in self.schemas.crd_kinds():
            self._release(ask, ask.kind)
        return record

    # -- steps -------------------------------------------------------------------------------------------------
    def _namespace_open(self, ask: Ask) -> None:
        if not ask.kind.namespaced:
            return
        if not ask.namespace:
            raise errors.bad_request("an empty namespace may not be set during creation")
        found = self.storage.state.get(("", "namespaces"), ("", ask.namespace))
        if found is None:
            raise errors.not_found(NAMESPACE, ask.namespace)
        if "deletionTimestamp" in found.document["metadata"]:
            why = f"unable to create new content in namespace {ask.namespace} because it is being terminated"
            error = errors.forbidden(ask.kind, ask.name, why)
            cause = {"reason": "NamespaceTerminating", "message": f"namespace {ask.namespace} is being terminated"}
            error.details["causes"] = [cause | {"field": "metadata.namespace"}]
            raise error

    async def _clear(self, ask: Ask, definition: Record) -> tuple[Record, bool]:
        """Delete all objects of a definition that is going; with the last of them it goes too."""
        kind, left = self.definitions.objects(definition.document)
        for record in left:
            meta = record.document["metadata"]
            place = {"namespace": meta.get("namespace", ""), "name": meta["name"]}
            one = replace(ask, kind=kind, version=kind.version, admitted=True, **place)
            try:
                await self.delete(one, {})
            except ApiError as error:
                if error.reason not in ("NotFound", "Conflict"):
                    raise
        self._release(ask, kind)
        return self._find(ask) or definition, self._find(ask) is None

    def _release(self, ask: Ask, kind: Kind) -> None:
        if definition := self.definitions.released(kind):
            one = replace(ask, kind=CRD, version=CRD.version, namespace="", name=f"{kind.plural}.{kind.group}")
            self._commit(one, definition, without_cleanup(definition.document))


def _uid_differs(uid: str, old: Record) -> str:
    have = old.document["metadata"]["uid"]
    return f"Precondition failed: UID in precondition: {uid}, UID in object meta: {have}"
