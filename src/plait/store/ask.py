"""One request to the API server as its verbs see it, whichever way it came in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from plait.resources.kinds import Kind
from plait.store.access import ADMIN, User
from plait.store.api import Document
from plait.store.state import Address

Validation = Literal["Strict", "Warn", "Ignore"]


@dataclass(slots=True)
class Ask:
    """One request: what, where, by whom, how. `warnings` collects texts for Warning headers."""

    kind: Kind
    version: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    user: User = ADMIN
    dry_run: bool = False
    manager: str = "unknown"
    validation: Validation = "Warn"
    admitted: bool = False  # the webhooks have seen this write already, as a write of a subresource
    warnings: list[str] = field(default_factory=list)

    @property
    def address(self) -> Address:
        return self.kind.group, self.kind.plural


class Admission(Protocol):
    """The webhooks, as the pipeline calls them. `new` is None for DELETE."""

    async def mutate(self, ask: Ask, operation: str, old: Document | None, new: Document) -> Document: ...

    async def validate(self, ask: Ask, operation: str, old: Document | None, new: Document | None) -> None: ...
