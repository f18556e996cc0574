"""Parts: what a translation made of one input, kept for the next translation of the same proxy.

Nothing here changes a result. A part is used again while its input is the same object and everything that was looked
up while it was made (`Context` tells) is the same; a part that had to be made anew but came out equal is given back as
it was, so that what is made of it can be used again too.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from plait.base.bundle import Resource
from plait.envoy.pieces import Doc
from plait.envoy.wire import resource

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class Seen(Mapping[K, V]):
    """A mapping that notes what was looked up in it, and what was not there."""

    def __init__(self, whole: Mapping[K, V]) -> None:
        self._whole = whole
        self.noted: dict[K, V | None] = {}

    def __getitem__(self, key: K) -> V:
        self.noted[key] = found = self._whole.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[K]:
        raise TypeError("a part may look up, not list: then everything would be its input")

    def __len__(self) -> int:
        return len(self._whole)


class Part(NamedTuple):
    source: Any
    seen: tuple[dict[Any, Any], ...]
    """One for each mapping it looked into."""
    value: Any
    beside: Any
    """What making it left behind in the context."""


class Parts:
    """Of one proxy. Between `begin` and `end` lies one translation; what it did not use is forgotten."""

    def __init__(self) -> None:
        self._common: tuple[Any, ...] | None = None
        self._before: dict[Hashable, Part] = {}
        self._now: dict[Hashable, Part] = {}
        self._said: dict[tuple[str, str], tuple[Doc, Resource, frozenset[str]]] = {}
        self._saying: dict[tuple[str, str], tuple[Doc, Resource, frozenset[str]]] = {}

    def begin(self, *common: Any) -> None:
        """`common` is the input of every part; another one makes all anew."""
        self._before = self._now if self._common == common else {}
        self._common, self._now = common, {}
        self._said, self._saying = self._saying, {}

    def found(self, key: Hashable, source: Any, *lookups: Mapping[Any, Any]) -> Part | None:
        """The part of this key if it can be used again."""
        kept = self._before.get(key)
        if kept is None or not _same(kept.source, source):
            return None
        for noted, whole in zip(kept.seen, lookups, strict=True):
            for name, value in noted.items():
                if whole.get(name) is not value:
                    return None
        self._now[key] = kept
        return kept

    def keep(self, key: Hashable, part: Part) -> Part:
        """The part just made, equal pieces of the one before in it."""
        before = self._before.get(key)
        if before is not None:
            part = part._replace(value=_alike(before.value, part.value))
        self._now[key] = part
        return part

    def made(self, key: Hashable, source: Any, make: Callable[[], T]) -> T:
        """A part that follows from `source` alone (a tuple counts by its members)."""
        kept = self.found(key, source) or self.keep(key, Part(source, (), make(), None))
        value: T = kept.value
        return value

    def resource(
        self, url: str, name: str, document: Doc, secrets: Callable[[Doc], set[str]]
    ) -> tuple[Resource, frozenset[str]]:
        """The encoded document, and the names of `secrets` in it; WireError when it is not Envoy's API."""
        kept = self._said.get((url, name))
        if kept is None or kept[0] is not document:
            kept = (document, resource(url, name, document), frozenset(secrets(document)))
        self._saying[url, name] = kept
        return kept[1], kept[2]


def _same(old: Any, new: Any) -> bool:
    if old is new:
        return True
    if not isinstance(old, tuple) or not isinstance(new, tuple) or len(old) != len(new):
        return False
    return all(one is other for one, other in zip(old, new, strict=True))


def _alike(old: Any, new: Any) -> Any:
    """`new`, with the old object for every member of tuples that equals one."""
    if old == new:
        return old
    if isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        members = [_alike(one, other) for one, other in zip(old, new, strict=True)]
        return type(new)(*members) if hasattr(new, "_fields") else tuple(members)
    return new
