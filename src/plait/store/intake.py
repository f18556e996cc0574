"""From what a client sent to a document that may be stored: its fields, values, owners, and what a patch makes of it.

The steps of a write that need no present state of the store but what they are given; `verbs` says in which order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plait.store import errors, managed, patch
from plait.store.api import ApiError, Document, PatchType
from plait.store.ask import Ask
from plait.store.schema import fields
from plait.store.schema.schemas import Schemas
from plait.store.state import Record, stamp
from plait.store.strategies import table as strategies

_OPEN: Document = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class Intake:
    def __init__(self, schemas: Schemas, context: strategies.Context, clock: Callable[[], float]) -> None:
        self._schemas, self._context, self._clock = schemas, context, clock

    def received(self, ask: Ask, document: Document) -> Document:
        """A body of the right kind, version, name and namespace, with a metadata of its own to change."""
        if not isinstance(document, dict) or not isinstance(document.get("metadata", {}), dict):
            raise errors.bad_request(f"the body must be a {ask.kind.kind} object with a metadata object")
        expected = {"apiVersion": ask.kind.api_version(ask.version), "kind": ask.kind.kind}
        for key, value in expected.items():
            if document.get(key) not in (None, "", value):
                raise errors.bad_request(
                    f"{key} in the data ({document[key]}) does not match the expected {key} ({value})"
                )
        meta = {k: v for k, v in (document.get("metadata") or {}).items() if v is not None}
        namespace = ask.namespace if ask.kind.namespaced else ""
        for key, place in (("namespace", namespace), ("name", ask.name)):
            if place and meta.get(key) not in (None, "", place):
                raise errors.bad_request(
                    f"the {key} of the provided object ({meta[key]}) does not match the {key} on the request ({place})"
                )
            if place:
                meta[key] = place
        if not ask.kind.namespaced:
            meta.pop("namespace", None)
        return {**document, **expected, "metadata": meta}

    def schema(self, ask: Ask) -> Document:
        return self._schemas.get(ask.kind, ask.version) or _OPEN

    def cleaned(self, ask: Ask, document: Document, *, quiet: bool = False) -> Document:
        """Without unknown fields and with defaults; unknown fields refuse, warn or pass as the client asked."""
        strict = ask.validation != "Ignore" and not quiet
        cleaned, unknown = fields.normalize(document, self.schema(ask), strict=strict)
        if unknown and ask.validation == "Strict":
            listed = ", ".join(problem.message for problem in unknown)
            raise errors.bad_request(f"strict decoding error: {listed}")
        ask.warnings += [problem.message for problem in unknown]
        return cleaned

    def checked(self, ask: Ask, old: Document | None, new: Document) -> None:
        at = {**new, "apiVersion": ask.kind.api_version(ask.version)}
        found = [(e.path, e.message, e.reason) for e in fields.check(at, self.schema(ask), old=old)]
        if not found:
            found = strategies.problems(self._context, ask.kind, new, old)
        if found:
            raise errors.invalid(ask.kind, ask.name, found)

    def recorded(self, ask: Ask, old: Document | None, new: Document, now: str) -> Document:
        return managed.record_update(
            old,
            new,
            manager=ask.manager,
            schema=self.schema(ask),
            now=now,
            api_version=ask.kind.api_version(ask.version),
            subresource=ask.subresource,
        )

    def applied(self, ask: Ask, old: Record | None, body: Any, force: bool) -> Document:
        if not isinstance(body, dict):
            raise errors.bad_request("an apply patch must be an object")
        given = self.received(ask, body)
        if given["metadata"].get("managedFields"):
            raise errors.bad_request("metadata.managedFields must be nil")
        if self._strictly_unknown(ask, given):
            self.cleaned(ask, given)
        live = old.copy() if old else None
        try:
            return managed.apply(
                live,
                given,
                manager=ask.manager,
                force=force,
                schema=self.schema(ask),
                now=stamp(self._clock()),
                api_version=ask.kind.api_version(ask.version),
                subresource=ask.subresource,
            )
        except patch.PatchError as error:
            raise _patch_refused(ask, error) from error
        except managed.ApplyConflict as error:
            raise _apply_refused(error) from error

    def patched(self, ask: Ask, present: Document, body: Any, how: PatchType) -> Document:
        """`present` under a patch of any type but apply."""
        try:
            if how == "json":
                return patch.json_patch(present, body)
            if how == "merge":
                return patch.merge_patch(present, body)
            return patch.strategic_patch(present, body, self.schema(ask))
        except patch.PatchError as error:
            raise _patch_refused(ask, error) from error

    def _strictly_unknown(self, ask: Ask, given: Document) -> bool:
        return ask.validation == "Strict" and bool(fields.normalize(given, self.schema(ask), strict=True)[1])


def _patch_refused(ask: Ask, error: patch.PatchError) -> ApiError:
    if error.code == 422:
        return errors.invalid(ask.kind, ask.name, [("patch", error.message, "FieldValueInvalid")])
    return ApiError(error.code, "BadRequest" if error.code == 400 else "RequestEntityTooLarge", error.message)


def _apply_refused(error: managed.ApplyConflict) -> ApiError:
    count = len(error.causes)
    text = f"Apply failed with {count} conflict{'s' if count != 1 else ''}: "
    text += "; ".join(f"{cause['message']}: {cause['field']}" for cause in error.causes)
    return ApiError(409, "Conflict", text, {"causes": error.causes})
