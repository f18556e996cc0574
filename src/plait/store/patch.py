"""What does a document become under a patch? JSON patch, JSON merge patch, and the strategic merge patch of kubectl.

Pure; never changes its arguments. Server-side apply is in managed.py. A PatchError carries the HTTP code to answer.
"""

from __future__ import annotations

import copy
import json
from typing import Any, NoReturn

import jsonpatch
import jsonpointer

Schema = dict[str, Any]
_ORDER, _DELETE_FROM, _PATCH, _RETAIN = "$setElementOrder/", "$deleteFromPrimitiveList/", "$patch", "$retainKeys"
_MOST_OPERATIONS = 10_000


class PatchError(Exception):
    """The patch is malformed (400), too big (413) or does not fit the document (422)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def json_patch(document: Schema, patch: Any) -> Schema:
    """RFC 6902."""
    if not isinstance(patch, list):
        raise PatchError(400, "error decoding patch: a JSON patch is a list of operations")
    if len(patch) > _MOST_OPERATIONS:
        raise PatchError(413, f"a JSON patch may have {_MOST_OPERATIONS} operations, this one has {len(patch)}")
    try:
        changed = jsonpatch.JsonPatch(patch).apply(document)
    except jsonpatch.InvalidJsonPatch as error:
        raise PatchError(400, f"error decoding patch: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, ValueError) as error:
        raise PatchError(422, f"the server rejected our request due to an error in our request: {error}") from error
    if not isinstance(changed, dict):
        raise PatchError(422, "the patched document is not an object")
    return changed


def merge_patch(document: Schema, patch: Any) -> Schema:
    """RFC 7386."""
    if not isinstance(patch, dict):
        raise PatchError(400, "error decoding patch: a merge patch is an object")
    return _merge(document, patch)


def _merge(old: Any, patch: dict[str, Any]) -> Schema:
    out = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict):
            out[key] = _merge(out.get(key), value)
        else:
            out[key] = copy.deepcopy(value)
    return out


def strategic_patch(document: Schema, patch: Any, schema: Schema | None) -> Schema:
    """kubectl's patch for built-in kinds: lists merge by the key their schema names, with $-directives."""
    if not isinstance(patch, dict):
        raise PatchError(400, "error decoding patch: a strategic merge patch is an object")
    return _object(document, patch, schema or {})


def _object(old: Any, patch: dict[str, Any], schema: Schema) -> Schema:
    directive = patch.get(_PATCH)
    if directive == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if key != _PATCH}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        _bad(f"unknown directive $patch: {json.dumps(directive)}; want replace, merge or delete")
    out = dict(old) if isinstance(old, dict) else {}
    if _RETAIN in patch:
        _retain(out, patch)
    fields = [key for key in patch if not key.startswith("$")]
    for key in patch:
        for prefix in (_ORDER, _DELETE_FROM):
            if key.startswith(prefix) and (field := key.removeprefix(prefix)) not in fields:
                fields.append(field)
        if key.startswith("$") and key not in (_PATCH, _RETAIN) and not key.startswith((_ORDER, _DELETE_FROM)):
            _bad(f"unknown directive {key}")
    for key in fields:
        if key in patch and patch[key] is None:
            out.pop(key, None)
            continue
        _field(out, key, patch, _property(schema, key))
    return out


def _field(out: Schema, key: str, patch: dict[str, Any], schema: Schema) -> None:
    value = patch.get(key)
    strategy = str(schema.get("x-kubernetes-patch-strategy", "")).split(",")
    order, gone = patch.get(_ORDER + key), patch.get(_DELETE_FROM + key)
    if isinstance(value, dict):
        replace = "replace" in strategy
        out[key] = _object({} if replace else out.get(key), value, schema)
    elif isinstance(value, list) or value is None:
        for name, each in ((_ORDER + key, order), (_DELETE_FROM + key, gone)):
            if each is not None and not isinstance(each, list):
                _bad(f"{name} must be a list")
        present = out.get(key)
        if value is None and present is None:
            return
        old = present if isinstance(present, list) else []
        if "merge" in strategy:
            merge_key = schema.get("x-kubernetes-patch-merge-key")
            item = schema.get("items") or {}
            out[key] = _list(old, value or [], merge_key, item, order, gone)
        elif value is not None:
            out[key] = [_stripped(each) for each in value]
    else:
        out[key] = value


def _property(schema: Schema, key: str) -> Schema:
    found = (schema.get("properties") or {}).get(key)
    if found is None:
        extra = schema.get("additionalProperties")
        found = extra if isinstance(extra, dict) else {}
    return dict(found) if not isinstance(found, dict) else found


def _retain(out: Schema, patch: dict[str, Any]) -> None:
    keep = patch[_RETAIN]
    if not isinstance(keep, list):
        _bad("$retainKeys must be a list of field names")
    for key, value in patch.items():
        if not key.startswith("$") and value is not None and key not in keep:
            _bad(f"$retainKeys {json.dumps(keep)} lacks {json.dumps(key)}, which the patch sets")
    for key in [key for key in out if key not in keep]:
        del out[key]


def _list(old: list[Any], patch: list[Any], key: str | None, item: Schema, order: Any, gone: Any) -> list[Any]:
    if key is None:
        return _primitives(old, patch, order, gone)
    if any(not isinstance(each, dict) for each in patch):
        _bad(f"items of a list merged by {key} must be objects")
    if any(each.get(_PATCH) == "replace" for each in patch):
        return [_stripped(each) for each in patch if _PATCH not in each]
    out = list(old)
    for each in patch:
        if key not in each:
            _bad(f"map: {json.dumps(each)} does not contain declared merge key: {key}")
        at = next((i for i, one in enumerate(out) if isinstance(one, dict) and one.get(key) == each[key]), None)
        if each.get(_PATCH) == "delete":
            out = [one for one in out if not (isinstance(one, dict) and one.get(key) == each[key])]
        elif at is None:
            out.append(_object({}, each, item))
        else:
            out[at] = _object(out[at], each, item)
    if order is None:
        return out
    wanted = [one.get(key) if isinstance(one, dict) else one for one in order]
    return ordered(out, [one.get(key) for one in old], wanted, lambda one: one.get(key))


def _primitives(old: list[Any], patch: list[Any], order: Any, gone: Any) -> list[Any]:
    out = [each for each in old if each not in (gone or ())]
    out += [each for each in patch if each not in out]
    return out if order is None else ordered(out, old, list(order), lambda one: one)


def ordered(items: list[Any], before: list[Any], wanted: list[Any], name: Any) -> list[Any]:
    """Items the patch orders, in its order, among items it does not mention, in the order they had."""
    left = sorted((each for each in items if name(each) in wanted), key=lambda each: wanted.index(name(each)))
    right = [each for each in items if name(each) not in wanted]
    out: list[Any] = []
    while left and right:
        first, second = name(left[0]), name(right[0])
        if first not in before or second not in before or before.index(first) < before.index(second):
            out.append(left.pop(0))
        else:
            out.append(right.pop(0))
    return out + left + right


def _stripped(value: Any) -> Any:
    """A value without directives, for where there is nothing to direct."""
    if isinstance(value, dict):
        return {key: _stripped(each) for key, each in value.items() if not key.startswith("$") and each is not None}
    if isinstance(value, list):
        return [_stripped(each) for each in value]
    return value


def _bad(message: str) -> NoReturn:
    raise PatchError(400, f"invalid strategic merge patch: {message}")
