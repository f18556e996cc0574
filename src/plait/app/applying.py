"""Objects of a controller, as it wants them: applied where they differ, deleted where nobody wants them any more.

Nothing is written when nothing differs, and what belongs to somebody else is never touched. What was written last is
remembered until an informer has heard of it: a controller must not act on what it saw before its own write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from plait.base.wellknown import WARM
from plait.deploy import desired, drift, pooled
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import Api, ApiError, Document
from plait.store.informer import Informer, Key, key_of

MANAGER = "plait-gateways"
_ABSENT = {each.kind: each for each in (desired.AUTOSCALER, desired.BUDGET)}
"""Kinds that not every API server has: ours does not."""


@dataclass(frozen=True, slots=True)
class _Applied:
    """What we last said of an object, and what the server made of it."""

    wanted: Document
    made: Document


class Applier:
    """`made`: informers of the kinds it writes. `writes` counts."""

    def __init__(self, api: Api, made: Mapping[Kind, Informer]) -> None:
        self._api, self._made = api, made
        self._applied: dict[tuple[Kind, Key], _Applied] = {}
        self.writes = 0

    async def apply(self, wanted: Document) -> str:
        """Why it could not be; "" when it stands."""
        kind = _ABSENT.get(wanted["kind"]) or kinds.by_document(wanted)
        assert kind is not None, wanted
        key = key_of(wanted)
        live = await self._live(kind, key)
        if live is not None and not _belongs(live, wanted):
            if kind is kinds.SERVICE_ACCOUNT:
                return ""  # an account that is there is used as it is
            return f"{kind.kind} {'/'.join(key)} exists and is not this gateway's; delete it, or rename one of them"
        before = self._applied.get((kind, key))
        if live is not None and before is not None and before.wanted == wanted and drift.holds(live, wanted):
            return ""
        try:
            made = await self._api.patch(kind, key[1], wanted, key[0], type="apply", manager=MANAGER, force=True)
        except ApiError as error:
            if error.code == 404 and wanted["kind"] in _ABSENT:
                return f"this API server has no {kind.kind}; drop that key of the parameters"
            raise
        self._applied[kind, key] = _Applied(wanted, made)
        self.writes += 1
        return ""

    def known(self, kind: Kind, key: Key) -> Document | None:
        """As the informer has it, or as our own last write left it when the informer has not heard of that yet."""
        informer, applied = self._made.get(kind), self._applied.get((kind, key))
        if applied is not None and (informer is None or not _heard(informer, applied.made)):
            return applied.made
        return informer.cache.get(key) if informer is not None else None

    async def _live(self, kind: Kind, key: Key) -> Document | None:
        """The same; the server is asked about what may be somebody else's, which our informers do not see."""
        found = self.known(kind, key)
        if found is not None or (kind, key) in self._applied:
            return found
        try:
            return await self._api.get(kind, key[1], key[0])
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def delete(self, found: Iterable[tuple[Kind, Document]]) -> None:
        for kind, live in found:
            key = key_of(live)
            if "deletionTimestamp" in live["metadata"]:
                continue
            self._applied.pop((kind, key), None)
            self.writes += 1
            try:
                await self._api.delete(kind, key[1], key[0], uid=live["metadata"]["uid"])
            except ApiError as error:
                if error.code not in (404, 409):
                    raise

    def forget(self, names: Iterable[Key]) -> None:
        """Objects of these names are of no interest any more."""
        gone = set(names)
        for kind, made in [each for each in self._applied if each[1] in gone]:
            del self._applied[kind, made]


def _heard(informer: Informer, made: Document) -> bool:
    version = str(made["metadata"].get("resourceVersion", ""))
    if not (version.isdecimal() and informer.version.isdecimal()):
        return True
    return int(informer.version) >= int(version)


def _belongs(live: Document, wanted: Document) -> bool:
    """Is it this Gateway's, or that of an earlier one of its name (which the garbage collector has yet to see)?"""
    if (owner := pooled.gateway(wanted)) is not None:
        return pooled.gateway(live) == owner
    if WARM in wanted["metadata"]["labels"]:
        return WARM in (live["metadata"].get("labels") or {})
    (own,) = wanted["metadata"]["ownerReferences"]
    return any(
        reference.get("controller") and (reference.get("kind"), reference.get("name")) == (own["kind"], own["name"])
        for reference in live["metadata"].get("ownerReferences") or ()
    )
