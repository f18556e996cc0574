"""What does a CustomResourceDefinition mean? Its Kind, schema of a version, printer columns, status conditions.

Pure functions over the CRD's document; storing it and serving its kind is the server's business.
"""

from __future__ import annotations

from typing import Any

from plait.resources.kinds import Kind

Schema = dict[str, Any]


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
        if not (each.get("schema") or {}).get("openAPIV3Schema") and not spec.get("preserveUnknownFields"):
            out.append((f"spec.versions[{i}].schema.openAPIV3Schema", "schemas are required"))
    if (spec.get("conversion") or {}).get("strategy", "None") != "None":
        out.append(("spec.conversion.strategy", 'only "None" is served here: no conversion webhooks'))
    return out


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
    return {"conditions": [names, live], "acceptedNames": accepted_names, "storedVersions": stored}
