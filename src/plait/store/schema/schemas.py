"""Which schema has a kind? Built-in kinds from the generated data file, mesh kinds from `resources`, others from CRDs.

`get` gives the structural form (references resolved; defaults, patches and field ownership read it); `definitions`
gives the published form with `$ref`, as kubectl reads it from /openapi/v3. The data file is made by tools/schemas.
"""

from __future__ import annotations

import functools
import gzip
import json
from importlib.resources import files
from typing import Any

from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.resources.schema import schema_of
from plait.store.schema import crds

Schema = dict[str, Any]
_PREFIX = "#/components/schemas/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
OBJECT_META, LIST_META = _META + "ObjectMeta", _META + "ListMeta"
_OPEN: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
# Published as required because their Go fields lack omitempty, yet the API server accepts objects without them.
_NOT_REQUIRED = frozenset({"status", "metadata", "endpoints", "rules", "verbs", "acceptedNames", "storedVersions"})


@functools.cache
def builtin() -> dict[str, Any]:
    """The generated data: `definitions` (name -> schema) and `protobuf` (name -> field number -> "code|json|ref")."""
    return dict(json.loads(gzip.decompress(files("plait.store").joinpath("data/kubernetes.json.gz").read_bytes())))


@functools.cache
def names() -> dict[tuple[str, str, str], str]:
    """(group, version, kind) -> definition name of every built-in root type; group "*" is served in every group."""
    return {
        (gvk["group"], gvk["version"], gvk["kind"]): name
        for name, schema in builtin()["definitions"].items()
        for gvk in schema.get("x-kubernetes-group-version-kind", ())
    }


@functools.cache
def structural(name: str) -> Schema:
    """A built-in definition with every reference resolved; equal references share one dict."""
    return _resolve(name, ())


_resolved: dict[str, Schema] = {}


def _resolve(name: str, above: tuple[str, ...]) -> Schema:
    if name in above:
        return _OPEN
    if name not in _resolved:
        _resolved[name] = _inline(builtin()["definitions"][name], (*above, name), name)
    return _resolved[name]


def _inline(schema: Schema, above: tuple[str, ...], owner: str = "") -> Schema:
    if "$ref" in schema:
        return _resolve(schema["$ref"].removeprefix(_PREFIX), above)
    if "allOf" in schema:
        rest = {key: value for key, value in schema.items() if key not in ("allOf", "description")}
        base = _inline(schema["allOf"][0], above)
        return {**base, **rest} if rest else base
    out = {key: value for key, value in schema.items() if key not in ("description", "oneOf")}
    if schema.get("format") in ("int-or-string", "quantity"):
        out["x-kubernetes-int-or-string"] = True
    if "properties" in schema:
        out["properties"] = {key: _inline(value, above) for key, value in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            out[key] = _inline(schema[key], above)
    if "enum" in out:
        # Go writes an unset enum as "" where the field lacks omitempty: the same as absent.
        out["x-plait-empty-is-absent"] = True
    if "required" in out:
        status = owner.endswith(("Status", "State", "Condition"))
        out["required"] = [] if status else [each for each in out["required"] if each not in _NOT_REQUIRED]
    return out


class Schemas:
    """All schemas one API server knows. CRDs come and go; the other kinds are fixed."""

    def __init__(self) -> None:
        self._crds: dict[str, Schema] = {}
        self._cache: dict[tuple[str, str, str], Schema | None] = {}

    def get(self, kind: Kind, version: str) -> Schema | None:
        """The structural schema of a kind at a version; None when the kind has none."""
        key = (kind.group, version, kind.kind)
        if key not in self._cache:
            self._cache[key] = self._find(kind, version)
        return self._cache[key]

    def _find(self, kind: Kind, version: str) -> Schema | None:
        for group in (kind.group, "*"):
            if name := names().get((group, version, kind.kind)):
                return structural(name)
        raw = self._raw(kind, version)
        return None if raw is None else rooted(raw)

    def _raw(self, kind: Kind, version: str) -> Schema | None:
        for document in self._crds.values():
            names_ = document["spec"]["names"]
            if document["spec"]["group"] == kind.group and names_["kind"] == kind.kind:
                return crds.schema_of(document, version)
        if kind.group in kinds.MESH_GROUPS and version in kind.versions:
            return schema_of(kind, version)
        return None

    def definitions(self, group: str, version: str) -> dict[str, Schema]:
        """Published component schemas of one group version, each kind marked with its group, version and kind."""
        out: dict[str, Schema] = {}
        for (each, v, kind), name in names().items():
            if (v == version and each == group) or each == "*":
                _close(name, out)
                if each == "*":
                    gvk = {"group": group, "version": version, "kind": kind}
                    out[name] = {**out[name], "x-kubernetes-group-version-kind": [gvk]}
        for kind_ in (*kinds.ALL, *self.crd_kinds()):
            if kind_.group == group and version in kind_.versions:
                raw = self._raw(kind_, version)
                if raw is not None:
                    out[definition_name(kind_, version)] = published(raw, kind_, version)
                    _close(OBJECT_META, out)
        return out

    def add_crd(self, document: Schema) -> None:
        """Take a CustomResourceDefinition in, or replace it by name."""
        self._crds[document["metadata"]["name"]] = document
        self._cache.clear()

    def remove_crd(self, name: str) -> None:
        self._crds.pop(name, None)
        self._cache.clear()

    def crd_kinds(self) -> tuple[Kind, ...]:
        """The kinds that came with CRDs, by CRD name."""
        return tuple(crds.kind_of(self._crds[name]) for name in sorted(self._crds))


def definition_name(kind: Kind, version: str) -> str:
    """The component name of a kind: io.istio.networking.v1.Gateway; built-in kinds keep their own."""
    if name := names().get((kind.group, version, kind.kind)):
        return name
    return ".".join([*reversed(kind.group.split(".")), version, kind.kind])


def rooted(raw: Schema) -> Schema:
    """A custom resource's schema with the fields every object has: apiVersion, kind and full metadata."""
    properties = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        **{k: v for k, v in raw.get("properties", {}).items() if k not in ("apiVersion", "kind", "metadata")},
        "metadata": structural(OBJECT_META),
    }
    return {**raw, "type": "object", "properties": properties}


def published(raw: Schema, kind: Kind, version: str) -> Schema:
    """A custom resource's schema as a component of an OpenAPI v3 document."""
    properties = {
        "apiVersion": {"type": "string", "description": "APIVersion of this object, group/version."},
        "kind": {"type": "string", "description": "Kind of this object."},
        **{k: v for k, v in raw.get("properties", {}).items() if k not in ("apiVersion", "kind", "metadata")},
        "metadata": {"allOf": [{"$ref": _PREFIX + OBJECT_META}], "description": "Standard object's metadata."},
    }
    gvk = {"group": kind.group, "version": version, "kind": kind.kind}
    return {**raw, "type": "object", "properties": properties, "x-kubernetes-group-version-kind": [gvk]}


def _close(name: str, out: dict[str, Schema]) -> None:
    """Add a definition and all it refers to."""
    if name in out:
        return
    out[name] = builtin()["definitions"][name]
    for ref in _references(name):
        _close(ref, out)


@functools.cache
def _references(name: str) -> tuple[str, ...]:
    found: set[str] = set()
    todo: list[Any] = [builtin()["definitions"][name]]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                found.add(value["$ref"].removeprefix(_PREFIX))
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
    return tuple(sorted(found))
