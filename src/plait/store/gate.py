"""Joins the admission webhooks to the state: which configurations there are, and how a webhook is called."""

from __future__ import annotations

from plait.store.api import Document
from plait.store.state import State
from plait.store.verbs import Ask


class Gate:
    """The pipeline's `Admission`. With no webhook configuration it costs one look-up."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def close(self) -> None: ...

    async def mutate(self, ask: Ask, operation: str, old: Document | None, new: Document) -> Document:
        return new

    async def validate(self, ask: Ask, operation: str, old: Document | None, new: Document | None) -> None: ...
