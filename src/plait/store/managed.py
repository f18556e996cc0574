"""Who owns which field? Server-side apply and the managedFields bookkeeping of every other write.

Pure. Field sets are sets of paths (see ownership.py). Deciding whether a manager may write at all, and normalising
what was applied, is the server's business: `apply` wants the configuration as sent, without defaults.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

from plait.store import ownership
from plait.store.ownership import Path, Paths
from plait.store.patch import ordered

Schema = dict[str, Any]
_BEFORE = "before-first-apply"


@dataclass(frozen=True, slots=True)
class _Manager:
    """One entry of managedFields."""

    manager: str
    operation: str
    api_version: str
    time: str
    subresource: str
    owns: Paths

    def key(self) -> tuple[str, ...]:
        """Two entries with the same key are one manager. An applier keeps its entry when it moves to a new version."""
        version = "" if self.operation == "Apply" else self.api_version
        return (self.manager, self.operation, version, self.subresource)


class ApplyConflict(Exception):
    """Others own, with other values, fields that the configuration sets. `causes` are Status causes."""

    def __init__(self, causes: list[dict[str, str]]) -> None:
        self.causes = causes
        count = f"{len(causes)} conflict" + ("s" if len(causes) > 1 else "")
        if len(causes) == 1:
            text = f"{causes[0]['message']}: {causes[0]['field']}"
        else:
            groups: dict[str, list[str]] = {}
            for cause in causes:
                groups.setdefault(cause["message"], []).append(cause["field"])
            lines = [
                f"{_plural(who, fields)}:\n" + "\n".join(f"- {f}" for f in fields) for who, fields in groups.items()
            ]
            text = "\n".join(lines)
        self.message = f"Apply failed with {count}: {text}"
        super().__init__(self.message)


def _plural(who: str, fields: list[str]) -> str:
    return who.replace("conflict with", "conflicts with", 1) if len(fields) > 1 else who


def apply(
    live: Schema | None,
    applied: Schema,
    *,
    manager: str,
    force: bool,
    schema: Schema,
    now: str,
    api_version: str,
    subresource: str = "",
) -> Schema:
    """The object after this manager applied this configuration. ApplyConflict unless `force`."""
    applied = _without_managed(applied)
    new = frozenset(ownership.leaves(applied, schema)) - ownership.STRIPPED
    me = _Manager(manager, "Apply", api_version, now, subresource, new)
    managers = _decode(live)
    if live is not None and not managers:
        everything = frozenset(ownership.leaves(_without_managed(live), schema)) - ownership.STRIPPED
        managers = [_Manager(_BEFORE, "Update", api_version, _created(live, now), "", everything)]
    before = next((each for each in managers if each.key() == me.key()), None)
    others = [each for each in managers if each.key() != me.key()]

    base = {} if live is None else _without_managed(live)
    merged = _merge(base, applied, schema)
    changed = _changed(base, merged, schema)
    conflicts = [(each, sorted(each.owns & changed)) for each in others]
    if not force and (causes := [_cause(each, path) for each, paths in conflicts for path in paths]):
        raise ApplyConflict(causes)
    others = [replace(each, owns=each.owns - changed) for each in others]
    if before is not None:
        kept = ownership.tree(new.union(*(each.owns for each in others)))
        merged = _pruned(merged, ownership.tree(before.owns), kept, schema)
    gone = frozenset(ownership.leaves(base, schema)) - frozenset(ownership.leaves(merged, schema))
    others = [replace(each, owns=each.owns - gone) for each in others]
    if before is not None and before.owns == new and before.api_version == api_version and merged == base:
        me = before
    return _with_managed(merged, [*others, me])


def record_update(
    old: Schema | None,
    new: Schema,
    *,
    manager: str,
    schema: Schema,
    now: str,
    api_version: str,
    subresource: str = "",
) -> Schema:
    """`new` with managedFields that say this manager wrote what differs from `old`."""
    sent = (new.get("metadata") or {}).get("managedFields")
    if sent in ([], [{}]):
        managers: list[_Manager] = []
    else:
        managers = _decode(new) or _decode(old)
    before = ownership.leaves(_without_managed(old), schema) if old is not None else {}
    clean = _without_managed(new)
    after = ownership.leaves(clean, schema)
    changed = _differing(before, after) - ownership.STRIPPED
    gone = frozenset(before) - frozenset(after)
    if not changed and not gone:
        return _with_managed(clean, managers)
    me = _Manager(manager, "Update", api_version, now, subresource, frozenset())
    mine = next((each for each in managers if each.key() == me.key()), None)
    others = [replace(each, owns=each.owns - changed - gone) for each in managers if each.key() != me.key()]
    owns = changed | ((mine.owns if mine else frozenset()) - gone)
    return _with_managed(clean, [*others, replace(me, owns=owns)])


def _differing(before: dict[Path, Any], after: dict[Path, Any]) -> Paths:
    return frozenset(path for path, value in after.items() if path not in before or before[path] != value)


def _changed(before: Schema, after: Schema, schema: Schema) -> Paths:
    return _differing(ownership.leaves(before, schema), ownership.leaves(after, schema)) - ownership.STRIPPED


def _cause(owner: _Manager, path: Path) -> dict[str, str]:
    message = f'conflict with "{owner.manager}"'
    if owner.subresource:
        message += f' with subresource "{owner.subresource}"'
    message += f" using {owner.api_version}"
    if owner.operation == "Update" and owner.time:
        message += f" at {owner.time}"
    return {"reason": "FieldManagerConflict", "message": message, "field": ownership.shown(path)}


def _merge(old: Any, new: Any, schema: Schema) -> Any:
    shape = ownership.shape(new, schema)
    if old is None or shape != ownership.shape(old, schema) or shape == "leaf":
        return copy.deepcopy(new)
    if shape == "object":
        out = dict(old)
        for key, value in new.items():
            out[key] = _merge(out.get(key), value, ownership.child(schema, key))
        return out
    names = {ownership.element(each, schema): each for each in old}
    merged = dict(names)
    for each in new:
        name = ownership.element(each, schema)
        merged[name] = _merge(names.get(name), each, schema.get("items") or {})
    wanted = [ownership.element(each, schema) for each in new]
    order = ordered(list(merged), list(names), wanted, lambda name: name)
    return [merged[name] for name in order]


def _pruned(value: Any, last: dict[str, Any], keep: dict[str, Any], schema: Schema) -> Any:
    """Without what the manager had applied before and nobody keeps."""
    shape = ownership.shape(value, schema)
    if shape == "object":
        out = {}
        for key, each in value.items():
            name = "f:" + key
            if name in last and name not in keep:
                continue
            known = name in last and last[name]
            out[key] = _pruned(each, last[name], keep[name], ownership.child(schema, key)) if known else each
        return out
    if shape == "leaf":
        return value
    items = []
    for each in value:
        name = ownership.element(each, schema)
        if name in last and name not in keep:
            continue
        items.append(_pruned(each, last[name], keep[name], schema.get("items") or {}) if last.get(name) else each)
    return items


def _decode(document: Schema | None) -> list[_Manager]:
    out = []
    for each in ((document or {}).get("metadata") or {}).get("managedFields") or ():
        if each.get("manager") is None and "fieldsV1" not in each:
            continue
        out.append(
            _Manager(
                each.get("manager", ""),
                each.get("operation", "Update"),
                each.get("apiVersion", ""),
                each.get("time", ""),
                each.get("subresource", ""),
                ownership.decode(each.get("fieldsV1") or {}),
            )
        )
    return out


def _with_managed(document: Schema, managers: list[_Manager]) -> Schema:
    entries: list[Schema] = []
    for each in sorted(managers, key=lambda m: (m.operation, m.time, m.manager, m.api_version, m.subresource)):
        if not each.owns:
            continue
        entry: Schema = {"manager": each.manager, "operation": each.operation, "apiVersion": each.api_version}
        if each.time:
            entry["time"] = each.time
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": ownership.encode(each.owns)}
        if each.subresource:
            entry["subresource"] = each.subresource
        entries.append(entry)
    metadata = dict(document.get("metadata") or {})
    if entries:
        metadata["managedFields"] = entries
    return {**document, "metadata": metadata}


def _without_managed(document: Schema) -> Schema:
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return document
    return {**document, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def _created(live: Schema, now: str) -> str:
    return str((live.get("metadata") or {}).get("creationTimestamp") or now)
