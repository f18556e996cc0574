"""Laying one Envoy document over another, as protobuf merges: objects deep, lists appended, the rest replaced.

Typed configurations merge only with their own type; a named entry that stands in a list twice is merged, not repeated,
where Istio does so (`by_name`).
"""

from __future__ import annotations

from typing import Any

from plait.envoy.pieces import Doc

ANY = "@type"


def merged(base: Doc, over: Doc) -> Doc:
    """A new document; neither is changed."""
    if base.get(ANY) and over.get(ANY) and base[ANY] != over[ANY]:
        return dict(over)
    out = dict(base)
    for key, value in over.items():
        here = out.get(key)
        if isinstance(here, dict) and isinstance(value, dict):
            out[key] = merged(here, value)
        elif isinstance(here, list) and isinstance(value, list):
            out[key] = [*here, *value]
        else:
            out[key] = value
    return out


def replaced_lists(base: Doc, over: Doc) -> Doc:
    """The same, but a list that is said replaces the one before."""
    out = dict(base)
    for key, value in over.items():
        here = out.get(key)
        out[key] = replaced_lists(here, value) if isinstance(here, dict) and isinstance(value, dict) else value
    return out


def edited(items: list[Doc], operation: str, value: Doc, chosen: Any) -> tuple[list[Doc], bool]:
    """Apply one operation to a list; `chosen(item)` says which items are meant, None: no item is named.

    Returns the new list and whether the operation found its place.
    """
    hits = [] if chosen is None else [index for index, item in enumerate(items) if chosen(item)]
    match operation:
        case "ADD":
            return [*items, value], True
        case "INSERT_FIRST":
            return [value, *items], True
        case "INSERT_BEFORE" | "INSERT_AFTER":
            if chosen is None:
                return ([value, *items] if operation == "INSERT_BEFORE" else [*items, value]), True
            if not hits:
                return items, False
            at = hits[0] + (operation == "INSERT_AFTER")
            return [*items[:at], value, *items[at:]], True
        case "REMOVE":
            return [item for index, item in enumerate(items) if index not in hits], bool(hits)
        case "REPLACE":
            return [value if index in hits else item for index, item in enumerate(items)], bool(hits)
        case "MERGE":
            return [merged(item, value) if index in hits else item for index, item in enumerate(items)], bool(hits)
        case "MERGE_AND_REPLACE_LIST":
            return [replaced_lists(item, value) if index in hits else item for index, item in enumerate(items)], bool(
                hits
            )
    return items, False
