"""Parameters of a gateway are strategic merge patches, merged as kubectl would: lists by the keys of their schema."""

from __future__ import annotations

from functools import cache
from typing import Any

from plait.resources.kinds import Kind
from plait.store.patch import strategic_patch
from plait.store.schema.schemas import Schemas

Document = dict[str, Any]


@cache
def _schema(kind: Kind) -> dict[str, Any] | None:
    return Schemas().get(kind, kind.version)


def merge(kind: Kind, document: Document, overlay: Document) -> Document:
    """`deploy.desired.Merge`. PatchError when the overlay is no patch."""
    return strategic_patch(document, overlay, _schema(kind))
