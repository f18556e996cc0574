"""What is to be said + what stands in an object's status -> the merge patch between them. Foreign words stay.

Ours are conditions of our types, and entries of `parents` and `ancestors` under our controllers' names. A condition
keeps its lastTransitionTime until its status changes. Order is kept, so two controllers never undo each other. No IO.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from plait.model import acceptance, attaching, binding, reconciled
from plait.model.compile.traffic.gateway_api.classes import CONTROLLERS

Document = dict[str, Any]
OURS = frozenset(
    {
        "Accepted",
        "Programmed",
        "ResolvedRefs",
        "InsecureFrontendValidationMode",
        acceptance.CONDITION,
        acceptance.WAYPOINT,
        attaching.ATTACHED,
        binding.CONDITION,
        reconciled.CONDITION,
    }
)
"""Types of the conditions we write on objects."""
_ENTRIES = {"parents": "parentRef", "ancestors": "ancestorRef"}
_WHOLE = ("addresses", "supportedFeatures", "attachedListenerSets", "validationMessages")


def patch(present: Mapping[str, Any], wanted: Mapping[str, Any], fields: Collection[str], now: str) -> Document:
    """The fields of `status` that must change, None for those to remove; empty: nothing to write.

    `fields` are the fields of this kind that are ours: one that is not wanted any more is emptied of what is ours.
    """
    made: Document = {}
    for field in fields:
        before, after = present.get(field), _merged(field, present.get(field), wanted.get(field), now)
        if after != before:
            made[field] = after
    return made


def _merged(field: str, present: Any, wanted: Any, now: str) -> Any:
    if field in _WHOLE:
        return wanted
    if field == "conditions":
        return _conditions(present or [], wanted or [], now) or None
    if field == "listeners":
        return _listeners(present or [], wanted, now)
    reference = _ENTRIES[field]
    merged = _entries(present or [], wanted or [], reference, now)
    return merged if merged or present is None else []


def _conditions(present: list[Document], wanted: list[Document], now: str, ours: Collection[str] = OURS) -> list[Any]:
    before = {each.get("type"): each for each in present}
    after = {each["type"]: _timed(each, before.get(each["type"]), now) for each in wanted}
    return _replaced(present, after, lambda each: each.get("type"), lambda each: each.get("type") in ours)


def _timed(wanted: Document, before: Document | None, now: str) -> Document:
    same = before is not None and before.get("status") == wanted["status"] and before.get("lastTransitionTime")
    return {**wanted, "lastTransitionTime": same or now}


def _listeners(present: list[Document], wanted: list[Document] | None, now: str) -> list[Any] | None:
    """All listeners are ours: their gateway is."""
    if wanted is None:
        return None
    before = {each.get("name"): each.get("conditions") or [] for each in present}
    return [
        {**each, "conditions": _all_timed(each["conditions"], before.get(each["name"], []), now)} for each in wanted
    ]


def _entries(present: list[Document], wanted: list[Document], reference: str, now: str) -> list[Any]:
    def who(each: Document) -> Any:
        return each.get("controllerName"), tuple(sorted((each.get(reference) or {}).items()))

    before = {who(each): each.get("conditions") or [] for each in present}
    after = {
        who(each): {**each, "conditions": _all_timed(each["conditions"], before.get(who(each), []), now)}
        for each in wanted
    }
    return _replaced(present, after, who, lambda each: each.get("controllerName") in CONTROLLERS)


def _all_timed(wanted: list[Document], present: list[Document], now: str) -> list[Document]:
    before = {each.get("type"): each for each in present}
    return [_timed(each, before.get(each["type"]), now) for each in wanted]


def _replaced(
    present: list[Document],
    wanted: dict[Any, Document],
    who: Callable[[Document], Any],
    ours: Callable[[Document], bool],
) -> list[Document]:
    """Each in its place: foreign ones as they are, ours as wanted or gone; new ones at the end."""
    left = dict(wanted)
    found: list[Document] = []
    for each in present:
        if (name := who(each)) in left:
            found.append(left.pop(name))
        elif name not in wanted and not ours(each):
            found.append(each)
    return [*found, *left.values()]
