"""Grouping: the values of a mapping by secondary keys, made by patching the groups of an earlier state of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from plait.base.revision import differing

T = TypeVar("T")
Groups = dict[str, tuple[T, ...]]


def regrouped(
    groups: Groups[T],
    old: Mapping[str, T],
    new: Mapping[str, T],
    keys_of: Callable[[T], Iterable[str]],
    rank: Callable[[T], Any],
) -> Groups[T]:
    """The groups of `new`, each in the order of `rank`; `groups` are those of `old`. A value is in a group once."""
    moved = differing(old, new)
    if not moved:
        return groups
    gone = [old[name] for name in moved if name in old]
    come = [new[name] for name in moved if name in new]
    left = {id(value) for value in gone}
    added: dict[str, dict[int, T]] = {}
    for value in come:
        for key in keys_of(value):
            added.setdefault(key, {})[id(value)] = value
    result = dict(groups)
    for key in {*added, *(key for value in gone for key in keys_of(value))}:
        stay = [value for value in groups.get(key, ()) if id(value) not in left]
        if found := sorted([*stay, *added.get(key, {}).values()], key=rank):
            result[key] = tuple(found)
        else:
            result.pop(key, None)
    return result
