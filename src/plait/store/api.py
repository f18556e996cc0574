"""The Kubernetes API as the rest of Plait sees it: one Protocol, so nobody can tell a cluster from our own server.

Objects are plain JSON documents (dicts) exactly as on the wire; typed lenses are `plait.resources`' business.
Implementations: `store.client.HttpApi` (any kube-apiserver, TLS or unix socket) and the embedded server's own
in-process `LocalApi`. Room `node`, which may not import `store`, declares the small part it needs itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from plait.resources.kinds import Kind

Document = dict[str, Any]
EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
PatchType = Literal["json", "merge", "strategic", "apply"]


class ApiError(Exception):
    """A `Status` answer: HTTP code, machine reason (NotFound, Conflict, Expired …), message, details as sent."""

    def __init__(self, code: int, reason: str, message: str, details: Document | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details or {}


@dataclass(frozen=True, slots=True)
class WatchEvent:
    type: EventType
    object: Document


class Api(Protocol):
    """Async verbs on one API server. `namespace` is "" for cluster-scoped kinds and for all-namespace lists.

    Every verb raises ApiError; connection loss raises ConnectionError. `version` defaults to the storage version.
    """

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Document: ...

    async def list(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> tuple[list[Document], str]:
        """Items and the list's resourceVersion."""
        ...

    def watch(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "", version: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Events strictly after resourceVersion `version`; ApiError 410 when it is too old."""
        ...

    async def create(self, kind: Kind, document: Document, namespace: str = "") -> Document: ...

    async def replace(self, kind: Kind, document: Document, *, subresource: str = "") -> Document: ...

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
    ) -> Document: ...

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
        """NotFound is an ApiError like any other."""
        ...

    async def create_subresource(
        self, kind: Kind, name: str, subresource: str, document: Document, namespace: str = ""
    ) -> Document:
        """POST to a subresource: serviceaccounts/token, pods/binding, pods/eviction."""
        ...
