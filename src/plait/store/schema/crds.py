"""What does a CustomResourceDefinition mean? Its Kind, schema of a version, printer columns, status conditions.

Pure functions over the CRD's document; storing it and serving its kind is the server's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from plait.resources.kinds import Kind
from plait.store.schema import rules

Schema = dict[str, Any]
_TYPES = ("object", "array", "string", "integer", "number", "boolean")


def served_versions(document: Schema) -> tuple[str, ...]:
    """Served versions, the storage version first (it counts as served: objects are kept in it)."""
    versions = document["spec"].get("versions", [])
    storage = [each["name"] for each in versions if each.get("storage")]
    served = [each["name"] for each in versions if each.get("served") and not each.get("storage")]
    return (*storage, *served)


def kind_of(document: Schema) -> Kind:
    """The Kind a CRD brings. A subresource counts when any version has it."""
    spec = document["spec"]
    names = spec["names"]
    subresources = {name for each in spec.get("versions", []) for name in each.get("subresources") or {}}
    return Kind(
        group=spec["group"],
        versions=served_versions(document),
        kind=names["kind"],
        plural=names["plural"],
        namespaced=spec.get("scope") == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=tuple(sorted(subresources)),
    )


def version_of(document: Schema, version: str) -> Schema | None:
    """The entry of spec.versions with this name."""
    return next((each for each in document["spec"].get("versions", []) if each["name"] == version), None)


def schema_of(document: Schema, version: str) -> Schema | None:
    """The OpenAPI schema of one version, as the CRD states it."""
    entry = version_of(document, version) or {}
    schema = (entry.get("schema") or {}).get("openAPIV3Schema")
    if document["spec"].get("preserveUnknownFields"):
        return {**(schema or {"type": "object"}), "x-kubernetes-preserve-unknown-fields": True}
    return schema


def columns_of(document: Schema, version: str) -> list[Schema]:
    """additionalPrinterColumns of one version."""
    entry = version_of(document, version) or {}
    return list(entry.get("additionalPrinterColumns") or [])


def scale_of(document: Schema, version: str) -> Schema | None:
    """subresources.scale of one version: specReplicasPath, statusReplicasPath, labelSelectorPath."""
    entry = version_of(document, version) or {}
    found = (entry.get("subresources") or {}).get("scale")
    return dict(found) if found else None


def established(document: Schema) -> bool:
    """Whether its names were accepted, so that its kind is served."""
    listed = (document.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Established" and each["status"] == "True" for each in listed)


def names_of(document: Schema) -> tuple[frozenset[str], frozenset[str]]:
    """Names that no other kind of the group may have: those of resources, and those of kinds."""
    names = document["spec"]["names"]
    resources = {names["plural"], names.get("singular") or names["kind"].lower(), *(names.get("shortNames") or ())}
    return frozenset(resources), frozenset({names["kind"], names.get("listKind") or names["kind"] + "List"})


def completed(document: Schema) -> Schema:
    """The document with the defaults the API server derives from other fields: singular, listKind."""
    spec = document["spec"]
    names = {**spec["names"]}
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", names["kind"] + "List")
    return {**document, "spec": {**spec, "names": names}}


def problems(document: Schema) -> list[tuple[str, str]]:
    """(path, message) of what makes a CRD unusable beyond its own schema."""
    spec, out = document.get("spec", {}), []
    names = spec.get("names", {})
    want = f"{names.get('plural')}.{spec.get('group')}"
    if document.get("metadata", {}).get("name") != want:
        out.append(("metadata.name", f'must be spec.names.plural+"."+spec.group: "{want}"'))
    versions = spec.get("versions") or []
    if sum(1 for each in versions if each.get("storage")) != 1:
        out.append(("spec.versions", "must have exactly one version marked as storage version"))
    seen: set[str] = set()
    for i, each in enumerate(versions):
        if each.get("name") in seen:
            out.append((f"spec.versions[{i}].name", "must be unique among the versions"))
        seen.add(each.get("name", ""))
        at, schema = f"spec.versions[{i}].schema.openAPIV3Schema", (each.get("schema") or {}).get("openAPIV3Schema")
        if not schema and not spec.get("preserveUnknownFields"):
            out.append((at, "schemas are required"))
        if isinstance(schema, dict) and schema:
            if schema.get("type") != "object":
                out.append((f"{at}.type", f'Invalid value: "{schema.get("type", "")}": must be object at the root'))
            out += _schema_problems(schema, at)
    if (spec.get("conversion") or {}).get("strategy", "None") != "None":
        out.append(("spec.conversion.strategy", 'only "None" is served here: no conversion webhooks'))
    return out


def _unreadable(pattern: str | None) -> str:
    """Why a pattern cannot be used here. A "bad escape" may be one that only Go's expressions know, like \\pL."""
    try:
        re.compile((pattern or "").replace(r"\z", r"\Z"))
    except re.error as error:
        return str(error)
    return ""


def _unreadable_patterns(schema: Schema) -> Iterator[str]:
    if why := _unreadable(schema.get("pattern")):
        yield f"pattern is not enforced: {schema['pattern']}: {why}"
    for each in (*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(each, dict):
            yield from _unreadable_patterns(each)


def _schema_problems(schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    """What makes a schema not structural, or unusable here."""
    given = schema.get("type")
    open_ = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if given is None and not open_:
        yield f"{path}.type", "Required value: must not be empty for specified object fields"
    elif given is not None and given not in _TYPES:
        yield f"{path}.type", f'Unsupported value: "{given}": supported values: {", ".join(_TYPES)}'
    if given == "array" and not isinstance(schema.get("items"), dict):
        yield f"{path}.items", "Required value: must be specified"
    if (why := _unreadable(schema.get("pattern"))) and not why.startswith("bad escape"):
        text = f'Invalid value: "{schema["pattern"]}": must be a valid regular expression: {why}'
        yield f"{path}.pattern", text
    for name, each in (schema.get("properties") or {}).items():
        if path.endswith("openAPIV3Schema") and name in ("apiVersion", "kind", "metadata"):
            continue
        yield from _schema_problems(each, f"{path}.properties[{name}]")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _schema_problems(schema[key], f"{path}.{key}")


def unenforced(document: Schema) -> list[str]:
    """Warnings about rules in CEL and patterns that this server cannot read: accepted, but without effect."""
    found: dict[str, None] = {}
    for each in document["spec"].get("versions") or ():
        schema = (each.get("schema") or {}).get("openAPIV3Schema") or {}
        found |= dict.fromkeys(f"validation rule is not enforced: {why}" for _, why in rules.unusable(schema))
        found |= dict.fromkeys(_unreadable_patterns(schema))
    return list(found)


def accepted(document: Schema, *, now: str, taken: str = "") -> Schema:
    """The status of a CRD: Established and NamesAccepted, or, with `taken` naming the holder, why its names are not."""
    spec = document["spec"]
    old = document.get("status") or {}
    was = {each["type"]: each for each in old.get("conditions") or ()}

    def condition(kind: str, good: bool, reason: str, message: str) -> Schema:
        status = "True" if good else "False"
        before = was.get(kind)
        since = before["lastTransitionTime"] if before and before["status"] == status else now
        return {"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}

    if taken:
        names = condition("NamesAccepted", False, "Conflict", f"the names are in use by {taken}")
        live = condition("Established", False, "NotAccepted", "not all names are accepted")
    else:
        names = condition("NamesAccepted", True, "NoConflicts", "no conflicts found")
        live = condition("Established", True, "InitialNamesAccepted", "the initial names have been accepted")
    stored = list(old.get("storedVersions") or [])
    storage = next((each["name"] for each in spec.get("versions", []) if each.get("storage")), "")
    if storage and storage not in stored:
        stored.append(storage)
    accepted_names = old.get("acceptedNames") or {"kind": "", "plural": ""} if taken else spec["names"]
    others = [each for kind, each in was.items() if kind not in ("NamesAccepted", "Established")]
    return {"conditions": [names, live, *others], "acceptedNames": accepted_names, "storedVersions": stored}


def terminating(document: Schema, *, now: str) -> Schema:
    """The status of a CRD that was deleted while it has objects."""
    status = dict(document.get("status") or {})
    others = [each for each in status.get("conditions") or () if each["type"] != "Terminating"]
    if len(others) < len(status.get("conditions") or ()):
        return status
    reason, text = "InstanceDeletionInProgress", "CustomResource deletion is in progress"
    condition = {"type": "Terminating", "status": "True", "lastTransitionTime": now, "reason": reason, "message": text}
    return {**status, "conditions": [*others, condition]}
