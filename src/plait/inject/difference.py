"""The JSON patch (RFC 6902) that makes one document of another. Objects are walked, lists are given as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Operation = dict[str, Any]


def difference(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> list[Operation]:
    found: list[Operation] = []
    for name in sorted({*old, *new}):
        at = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in new:
            found.append({"op": "remove", "path": at})
        elif name not in old:
            found.append({"op": "add", "path": at, "value": new[name]})
        elif isinstance(old[name], Mapping) and isinstance(new[name], Mapping):
            found += difference(old[name], new[name], at)
        elif old[name] != new[name]:
            found.append({"op": "replace", "path": at, "value": new[name]})
    return found
