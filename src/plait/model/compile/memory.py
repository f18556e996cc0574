"""What one compile remembers for the next: per object, the very inputs it was made from and the result.

Nothing here changes a result: an entry is used only while every input is the same object or equal.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from plait.base.revision import Revision, differing
from plait.model.grouping import regrouped
from plait.model.mesh import Mesh
from plait.resources.problems import Problem

G = TypeVar("G", bound=Hashable)
K = TypeVar("K")
S = TypeVar("S")
T = TypeVar("T")
Find = Callable[[Any, Any], Iterable[tuple[str, T]]]
"""(name, value) -> what there is in it, by keys."""
Ask = Callable[[str, Any], Any]
"""(table, key) -> what that table has under this key, None when nothing."""


class _Answered(NamedTuple):
    """What was made for one source, and what was asked for it."""

    name: Any
    value: Any
    asked: frozenset[tuple[str, Any]]


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
        kept = self._now.get(key) or self._before.get(key)
        if kept is not None and kept[0][0] is source and kept[0][1:] == context:
            self._now[key] = kept
            return kept[1]  # type: ignore[no-any-return]
        value = make()
        self._now[key] = ((source, *context), value)
        return value

    def each(self, key: str, sources: Mapping[K, S], make: Callable[[K, S], T], *context: Any) -> Mapping[K, T]:
        """The result for each of `sources`, made anew only for those that are another object than last time."""
        kept = self._before.get(("each", key))
        before: Mapping[K, S] = {}
        made: Revision[K, T] = Revision()
        if kept is not None and kept[0][1:] == context:
            before, made = kept[0][0], kept[1]
        moved = differing(before, sources)
        found = made.revised({name: make(name, sources[name]) for name in moved if name in sources}, moved)
        self._now["each", key] = ((sources, *context), found)
        return found

    def among(self, key: str, sources: Mapping[K, S], keep: Callable[[K], bool], *context: Any) -> Mapping[K, S]:
        """Those of `sources` whose key is to be kept."""
        before, made = {}, Revision[K, S]()
        kept = self._before.get(("among", key))
        if kept is not None and kept[0][1:] == context:
            before, made = kept[0][0], kept[1]
        moved = differing(before, sources)
        found = made.revised({name: sources[name] for name in moved if name in sources and keep(name)}, moved)
        self._now["among", key] = ((sources, *context), found)
        return found

    def asking(
        self,
        key: str,
        sources: Mapping[K, S],
        make: Callable[[K, S, Ask], T],
        tables: Mapping[str, Mapping[Any, Any]],
        *context: Any,
    ) -> Mapping[K, T]:
        """As `each`, for what is made of other things too: `make` asks `tables` for them, and is called anew also when
        an answer it got is another object now."""
        before: Mapping[K, S] = {}
        old_tables: Mapping[str, Mapping[Any, Any]] = {table: {} for table in tables}
        made: Revision[K, _Answered] = Revision()
        askers: dict[tuple[str, Any], tuple[_Answered, ...]] = Revision()
        values: Revision[K, T] = Revision()
        kept = self._before.get(("asking", key))
        if kept is not None and kept[0][2:] == context:
            (before, old_tables, *_), (made, askers, values) = kept
        moved = dict.fromkeys(differing(before, sources))
        for table, contents in tables.items():
            for place in differing(old_tables[table], contents):
                moved.update((each.name, None) for each in askers.get((table, place), ()))

        def answered(name: K) -> _Answered:
            asked: set[tuple[str, Any]] = set()

            def ask(table: str, place: Any) -> Any:
                asked.add((table, place))
                return tables[table].get(place)

            return _Answered(name, make(name, sources[name], ask), frozenset(asked))

        now = made.revised({name: answered(name) for name in moved if name in sources}, moved)
        by_asked = regrouped(askers, made, now, lambda each: each.asked, lambda each: each.name)
        found = values.revised({name: now[name].value for name in moved if name in now}, moved)
        self._now["asking", key] = ((sources, tables, *context), (now, by_asked, found))
        return found

    def grouped(
        self, key: str, sources: Mapping[K, S], keys_of: Callable[[S], Iterable[G]], rank: Callable[[S], Any]
    ) -> Mapping[G, tuple[S, ...]]:
        """The values by what `keys_of` says of each, and in the order of `rank`."""
        (before,), made = self._before.get(("grouped", key), (({},), Revision()))
        found = regrouped(made, before, sources, keys_of, rank)
        self._now["grouped", key] = ((sources,), found)
        return found

    def gathered(self, key: str, *parts: tuple[Mapping[Any, Any], Find[T]]) -> Mapping[str, T]:
        """What is found in the values of these mappings, in the order of keys: no key in two of them. What equals what
        was found last is that very object."""
        before: tuple[Mapping[Any, Any], ...] = ({},) * len(parts)
        made: Revision[str, T] = Revision()
        before, made = self._before.get(("gathered", key), (before, made))
        lost: set[str] = set()
        found: dict[str, T] = {}
        for old, (new, find) in zip(before, parts, strict=True):
            for name in differing(old, new):
                lost.update(key for key, _ in (find(name, old[name]) if name in old else ()))
                found.update(find(name, new[name]) if name in new else ())
        result = made.revised(found, lost).in_order(made)
        self._now["gathered", key] = (tuple(mapping for mapping, _ in parts), result)
        return result

    def step(self, key: str, problems: list[Problem], make: Callable[[Memory, list[Problem]], T], *inputs: object) -> T:
        """A whole step: what `make` gave, and the problems it told, while every input is the same object."""
        kept = self._before.get(("step", key))
        if kept is not None and all(old is new for old, new in zip(kept[0], inputs, strict=True)):
            inner, value, said = kept[1]
        else:
            inner, said = Memory(kept[1][0] if kept is not None else {}), []
            value = make(inner, said)
            kept = (inputs, (inner._now, value, tuple(said)))
        self._now["step", key] = kept
        problems.extend(said)
        return value  # type: ignore[no-any-return]


def itself(key: str, value: T) -> Iterable[tuple[str, T]]:
    """What is found in a mapping that is gathered as it is."""
    return ((key, value),)
