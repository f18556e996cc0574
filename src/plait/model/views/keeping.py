"""Keeping identity: what equals a part of the view before comes back as it was, so translators memoise."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

T = TypeVar("T")


def kept(old: Sequence[T], new: tuple[T, ...], key: Callable[[T], Hashable]) -> tuple[T, ...]:
    """`new` with the old object wherever it is equal; the old tuple itself when nothing changed."""
    if isinstance(old, tuple) and old == new:
        return old
    there, still = set(map(id, old)), set(map(id, new))
    gone = {key(each): each for each in old if id(each) not in still}
    again = {id(each): gone.get(key(each)) for each in new if id(each) not in there}
    same = {number: was for number, was in again.items() if was is not None}
    return tuple([_either(same.get(id(each)), each) for each in new]) if same else new


def _either(was: T | None, each: T) -> T:
    return was if was is not None and was == each else each
