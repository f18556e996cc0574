"""Exchange: which members of a sequence are others than before, so that what was made of the rest is used again.

Members count by identity. Two sequences of one length that differ in few places are compared without being looked into.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, count
from operator import is_not
from typing import Any, Final, TypeVar

T = TypeVar("T")
_FEW: Final = 16


class Exchange:
    """`gone` are places in the old one, `come` places in the new one. Who only moved may be among both."""

    def __init__(self, old: Sequence[Any], new: Sequence[Any]) -> None:
        self._origins: list[int | None] | None = None
        """By place in the new one, the place in the old one; None: they stand side by side."""
        self.gone = self.come = list(compress(count(), map(is_not, old, new)))
        self.same = len(old) == len(new) and not self.come
        """The same objects in the same places."""
        if len(old) != len(new) or len(self.come) > _FEW:
            known = {id(each): place for place, each in enumerate(old)}
            self._origins = [known.get(id(each)) for each in new]
            self.come = [place for place, origin in enumerate(self._origins) if origin is None]
            self.gone = sorted(set(known.values()).difference(self._origins))

    def carried(self, made: Sequence[T]) -> list[T | None]:
        """What was made of each of the old, for each of the new; None for those that have come."""
        if self._origins is not None:
            return [made[origin] if origin is not None else None for origin in self._origins]
        found: list[T | None] = list(made)
        for place in self.come:
            found[place] = None
        return found
