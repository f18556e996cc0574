"""What one compile remembers for the next: per object, the very inputs it was made from and the result.

Nothing here changes a result: an entry is used only while every input is the same object or equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from plait.model.mesh import Mesh

T = TypeVar("T")


class Memory:
    def __init__(self, before: dict[Any, tuple[tuple[Any, ...], Any]]) -> None:
        self._before = before
        self._now: dict[Any, tuple[tuple[Any, ...], Any]] = {}

    @classmethod
    def of(cls, mesh: Mesh | None) -> Memory:
        return cls(mesh.__dict__.get("memory", {}) if mesh is not None else {})

    def keep(self, mesh: Mesh) -> None:
        mesh.__dict__["memory"] = self._now  # a cache, not part of the value

    def made(self, key: Any, source: Any, make: Callable[[], T], *context: Any) -> T:
        """The result for `source` (compared by identity) in this `context` (compared by equality)."""
        kept = self._before.get(key)
        if kept is not None and kept[0][0] is source and kept[0][1:] == context:
            self._now[key] = kept
            return kept[1]  # type: ignore[no-any-return]
        value = make()
        self._now[key] = ((source, *context), value)
        return value
