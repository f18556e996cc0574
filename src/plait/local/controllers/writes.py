"""What a controller wants written, as values: reconcile functions return these, `cluster.Cluster.write` does them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from plait.resources.kinds import Kind
from plait.store.api import Document


@dataclass(frozen=True, slots=True)
class Create:
    kind: Kind
    document: Document


@dataclass(frozen=True, slots=True)
class Patch:
    """A merge patch. `version` makes it conditional on the resourceVersion that was read."""

    kind: Kind
    namespace: str
    name: str
    body: Mapping[str, Any]
    subresource: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Replace:
    """A whole document, conditional on its resourceVersion."""

    kind: Kind
    document: Document
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Delete:
    kind: Kind
    namespace: str
    name: str
    uid: str
    grace: int | None = None
    propagation: str = "Background"


@dataclass(frozen=True, slots=True)
class Bind:
    namespace: str
    pod: str
    uid: str
    node: str


@dataclass(frozen=True, slots=True)
class Emit:
    """A Kubernetes Event about `about`."""

    about: Document
    reason: str
    message: str
    source: str
    type: Literal["Normal", "Warning"] = "Normal"


Write = Create | Patch | Replace | Delete | Bind | Emit


@dataclass(frozen=True, slots=True)
class Outcome:
    """The writes of one reconcile, and after how many seconds to look again though nothing changed."""

    writes: tuple[Write, ...] = ()
    again: float | None = None


def remove(kind: Kind, document: Document, *, grace: int | None = None, propagation: str = "Background") -> Delete:
    """Delete exactly this object, not a later one of the same name."""
    metadata = document["metadata"]
    return Delete(kind, metadata.get("namespace", ""), metadata["name"], metadata["uid"], grace, propagation)


def status(kind: Kind, document: Document, wanted: Document, *, version: str = "") -> list[Write]:
    """A status patch from what is there to `wanted`; nothing when they are equal."""
    present = document.get("status") or {}
    body: dict[str, Any] = {k: v for k, v in wanted.items() if present.get(k) != v}
    body.update({k: None for k in present if k not in wanted})
    if not body:
        return []
    metadata = document["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace", "")
    # A merge patch merges maps; a changed map is cleared of the keys that went.
    for key, value in body.items():
        if isinstance(value, dict) and isinstance(before := present.get(key), dict):
            body[key] = {**{k: None for k in before if k not in value}, **value}
    return [Patch(kind, namespace, name, {"status": body}, "status", version)]
