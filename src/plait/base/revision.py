"""Revision: a mapping that remembers in which keys it differs from those it was made of.

What changes is small, and what it is part of is large. So a step makes its result as a Revision of the one before, and
the next step asks `differing` where to look. Where the memory does not reach, both are walked: no result depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import ne
from typing import Any, Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")
_REACH: Final = 8
"""How many revisions back one remembers: what comes in one breath is compiled at once, and a proxy may be late."""


class Revision(dict[K, V]):
    """Nobody changes it once it is made. `past`: marks of those it was made of, and the keys that differ since."""

    __slots__ = ("_mark", "_past")

    def __init__(
        self, contents: Mapping[K, V] | Iterable[tuple[K, V]] = (), past: tuple[tuple[object, tuple[K, ...]], ...] = ()
    ) -> None:
        super().__init__(contents)
        self._mark = object()  # stands for this one where it itself would be kept alive by all that follow
        self._past = past[:_REACH]

    def revised(
        self, changed: Mapping[K, V], gone: Iterable[K] = (), differ: Callable[[Any, Any], bool] = ne
    ) -> Revision[K, V]:
        """With these values, and without these keys. Values that do not `differ` stay the objects they were, and it is
        itself when nothing does. New keys come last."""
        others = {key: value for key, value in changed.items() if differ(self.get(key), value)}
        lost = [key for key in gone if key in self and key not in changed]
        if not others and not lost:
            return self
        keys = *others, *lost
        past = ((mark, tuple(dict.fromkeys((*before, *keys)))) for mark, before in self._past)
        made = Revision(self, ((self._mark, keys), *past))
        made.update(others)
        for key in lost:
            del made[key]
        return made

    def became(self, new: Mapping[K, V]) -> Revision[K, V]:
        """`new` as a revision of this."""
        moved = differing(self, new)
        return self.revised({key: new[key] for key in moved if key in new}, [key for key in moved if key not in new])

    def in_order(self, like: Mapping[K, Any]) -> Revision[K, V]:
        """In the order of keys, in which `like` is: of that it was made."""
        if self.keys() <= like.keys():
            return self
        return Revision(((key, self[key]) for key in sorted(self)), self._past)  # type: ignore[type-var]

    def since(self, old: Mapping[K, Any]) -> tuple[K, ...] | None:
        """The keys that have been changed since `old`; None when it is not known that this was made of that."""
        if not isinstance(old, Revision):
            return None
        return next((keys for mark, keys in self._past if mark is old._mark), None)


def revision(contents: Mapping[K, V]) -> Revision[K, V]:
    """Itself if it is one."""
    return contents if isinstance(contents, Revision) else Revision(contents)


def differing(old: Mapping[K, Any], new: Mapping[K, Any]) -> list[K]:
    """The keys under which there are two objects, or one and none."""
    if old is new:
        return []
    keys = new.since(old) if isinstance(new, Revision) else None
    if keys is not None:
        return [key for key in keys if old.get(key) is not new.get(key)]
    return [key for key, value in new.items() if old.get(key) is not value] + [key for key in old if key not in new]
