"""Keeping identity: what equals a part of the view before comes back as it was, so translators memoise."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

T = TypeVar("T")


def kept(old: Sequence[T], new: tuple[T, ...], key: Callable[[T], Hashable]) -> tuple[T, ...]:
    """`new` with the old object wherever it is equal; the old tuple itself when nothing changed."""
    before = {key(each): each for each in old}
    made = tuple(was if (was := before.get(key(each))) is not None and was == each else each for each in new)
    same = len(old) == len(made) and all(one is other for one, other in zip(old, made, strict=True))
    return old if same and isinstance(old, tuple) else made
