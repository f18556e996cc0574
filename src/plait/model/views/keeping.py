"""Keeping identity: what equals a part of the view before comes back as it was, so translators memoise."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from plait.base.exchange import Exchange

T = TypeVar("T")


def kept(old: Sequence[T], new: tuple[T, ...], key: Callable[[T], Hashable]) -> tuple[T, ...]:
    """`new` with the old object wherever it is equal; the old tuple itself when nothing changed."""
    if isinstance(old, tuple) and old == new:
        return old
    exchange = Exchange(old, new)
    gone = {key(old[place]): old[place] for place in exchange.gone}
    same = [(place, was) for place in exchange.come if (was := gone.get(key(new[place]))) == new[place]]
    found = list(new)
    for place, was in same:
        found[place] = was
    return tuple(found)
