"""Which fields does a value have? Sets of field paths, their fieldsV1 form, and how each list and map is owned.

A path is a tuple of fieldsV1 steps: `f:name` of an object, `k:{"name":"a"}` of a keyed list, `v:"x"` of a set.
Atomic values are one leaf. Knows nothing of managers (managed.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

Schema = dict[str, Any]
Path = tuple[str, ...]
Paths = frozenset[Path]
Shape = Literal["object", "keyed", "set", "leaf"]

_META = ("name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion")
# Identity and server-written metadata belong to nobody.
STRIPPED: Paths = frozenset(
    [("f:apiVersion",), ("f:kind",), ("f:metadata",), *(("f:metadata", "f:" + name) for name in _META)]
)
_MEMBER = object()  # the value of a path that only says "this item exists"
_DEDUCED: Schema = {}


def shape(value: Any, schema: Schema) -> Shape:
    """How a value is owned. Without a schema, objects are owned by field and lists as a whole."""
    if isinstance(value, dict):
        atomic = schema.get("x-kubernetes-map-type") == "atomic"
        return "leaf" if atomic or schema.get("x-kubernetes-embedded-resource") else "object"
    if isinstance(value, list):
        kind = schema.get("x-kubernetes-list-type")
        if kind == "map" and all(isinstance(each, dict) for each in value):
            return "keyed"
        return "set" if kind == "set" else "leaf"
    return "leaf"


def child(schema: Schema, key: str) -> Schema:
    """The schema of one field of an object."""
    found = (schema.get("properties") or _DEDUCED).get(key)
    if found is None:
        found = schema.get("additionalProperties")
    return found if isinstance(found, dict) else _DEDUCED


def element(value: Any, schema: Schema) -> str:
    """The step that names an item of a keyed list or a set; keys a configuration leaves out have their default."""
    if schema.get("x-kubernetes-list-type") != "map":
        return "v:" + json.dumps(value, sort_keys=True, separators=(",", ":"))
    known = (schema.get("items") or {}).get("properties") or {}
    keys: dict[str, Any] = {}
    for key in schema.get("x-kubernetes-list-map-keys") or ():
        if key in value:
            keys[key] = value[key]
        elif "default" in known.get(key, _DEDUCED):
            keys[key] = known[key]["default"]
    return "k:" + json.dumps(keys, sort_keys=True, separators=(",", ":"))


def leaves(value: Any, schema: Schema) -> dict[Path, Any]:
    """Every owned path of a value, with what stands there (a marker for items that are owned as such)."""
    out: dict[Path, Any] = {}
    _walk(value, schema, (), out)
    return out


def _walk(value: Any, schema: Schema, path: Path, out: dict[Path, Any]) -> None:
    form = shape(value, schema)
    if form == "object":
        named = schema.get("properties") or _DEDUCED
        if not value and path:
            out[path] = _MEMBER
        for key, each in value.items():
            here = (*path, "f:" + key)
            # Keys of a map are owned as such; fields of a struct only through what is in them.
            if key not in named and isinstance(each, dict) and schema.get("additionalProperties"):
                out[here] = _MEMBER
            _walk(each, child(schema, key), here, out)
    elif form == "leaf":
        out[path] = value
    else:
        for each in value:
            here = (*path, element(each, schema))
            out[here] = _MEMBER
            if form == "keyed":
                _walk(each, schema.get("items") or _DEDUCED, here, out)


def tree(paths: Iterable[Path]) -> dict[str, Any]:
    """Paths as nested dicts, for walking down beside a value."""
    out: dict[str, Any] = {}
    for path in paths:
        here = out
        for step in path:
            here = here.setdefault(step, {})
    return out


def encode(paths: Paths) -> dict[str, Any]:
    """fieldsV1: nested steps, "." where a step with members is itself one."""
    out: dict[str, Any] = {}
    for path in sorted(paths):
        here = out
        for step in path:
            here = here.setdefault(step, {})
    for path in paths:
        here = out
        for step in path:
            here = here[step]
        if here:
            here["."] = {}
    return _sorted(out)


def _sorted(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: _sorted(fields[key]) for key in sorted(fields)}


def decode(fields: dict[str, Any]) -> Paths:
    """Paths of a fieldsV1 object."""
    out: set[Path] = set()
    _decode(fields, (), out)
    return frozenset(out)


def _decode(fields: Any, path: Path, out: set[Path]) -> None:
    if not isinstance(fields, dict) or (not fields and path):
        out.add(path)
        return
    for key, each in fields.items():
        if key == ".":
            out.add(path)
        else:
            _decode(each, (*path, _canonical(key)), out)


def _canonical(step: str) -> str:
    if not step.startswith(("k:", "v:")):
        return step
    try:
        return step[:2] + json.dumps(json.loads(step[2:]), sort_keys=True, separators=(",", ":"))
    except ValueError:
        return step


def shown(path: Path) -> str:
    """`.spec.containers[name="web"].image`, as conflicts are reported."""
    out = ""
    for step in path:
        kind, rest = step[:2], step[2:]
        if kind == "f:":
            out += "." + rest
        elif kind == "k:":
            out += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(rest).items()) + "]"
        else:
            out += f"[={rest}]" if kind == "v:" else f"[{rest}]"
    return out
