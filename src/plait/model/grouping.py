"""Grouping: the values of a mapping by secondary keys, made by patching the groups of an earlier state of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from operator import is_not
from typing import Any, TypeVar

from plait.base.revision import differing, revision

G = TypeVar("G", bound=Hashable)
K = TypeVar("K")
T = TypeVar("T")
Groups = dict[str, tuple[T, ...]]


def regrouped(
    groups: dict[G, tuple[T, ...]],
    old: Mapping[K, T],
    new: Mapping[K, T],
    keys_of: Callable[[T], Iterable[G]],
    rank: Callable[[T], Any],
) -> dict[G, tuple[T, ...]]:
    """The groups of `new`, each in the order of `rank`; `groups` are those of `old`, and what is made a Revision of
    them. A value is in a group once."""
    moved = differing(old, new)
    if not moved:
        return groups
    gone = [old[name] for name in moved if name in old]
    come = [new[name] for name in moved if name in new]
    left = {id(value) for value in gone}
    added: dict[G, dict[int, T]] = {}
    for value in come:
        for key in keys_of(value):
            added.setdefault(key, {})[id(value)] = value
    touched = {*added, *(key for value in gone for key in keys_of(value))}
    changed: dict[G, tuple[T, ...]] = {}
    for key in touched:
        stay = [value for value in groups.get(key, ()) if id(value) not in left]
        if found := sorted([*stay, *added.get(key, {}).values()], key=rank):
            changed[key] = tuple(found)
    return revision(groups).revised(changed, touched, is_not)  # a group of equal ones that are others is another
