"""OpenAPI v3 structural schemas (Kubernetes flavour) of the mesh kinds, generated from the typed models.

Read by the API server (pruning, defaulting, strict checks, `kubectl explain`) and by `structure.py`. Pure; cached.
"""

from __future__ import annotations

import copy
import types
import typing
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from plait.resources.kinds import Kind
from plait.resources.markers import Lenient, Marker, Model
from plait.resources.meta import ObjectMeta
from plait.resources.registry import MESH

Schema = dict[str, Any]


class NoSchema(LookupError):
    """The kind is not one of the mesh's: its schema is kept elsewhere."""


def schema_of(kind: Kind, version: str = "") -> Schema:
    """A fresh schema of the whole object. Every served version has the same one, as upstream."""
    return copy.deepcopy(shared_schema(kind))


@cache
def shared_schema(kind: Kind) -> Schema:
    """The one shared copy; do not change it."""
    if kind not in MESH:
        raise NoSchema(f"no schema of {kind} here; mesh kinds only")
    found = schema_of_type(MESH[kind])
    found["properties"] = {
        "apiVersion": {"type": "string", "description": "Group and version of the kind, such as " + kind.api_version()},
        "kind": {"type": "string", "description": f"The word {kind.kind}."},
        **{name: body for name, body in found["properties"].items() if name not in ("apiVersion", "kind")},
    }
    return found


@cache
def _fields(cls: type[msgspec.Struct]) -> tuple[tuple[str, Any, bool], ...]:
    """JSON name, annotated type and whether it is required, for each field."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple((f.encode_name, hints[f.name], f.required) for f in msgspec.structs.fields(cls))


def schema_of_type(annotation: Any) -> Schema:
    """The schema of any annotation our models use."""
    origin = get_origin(annotation)
    if hasattr(annotation, "__metadata__"):
        return _annotated(annotation)
    if origin in (Union, types.UnionType):
        return _union(get_args(annotation))
    if origin is Literal:
        values = list(get_args(annotation))
        return {"type": "integer" if isinstance(values[0], int) else "string", "enum": values}
    if origin is tuple:
        return {"type": "array", "items": schema_of_type(get_args(annotation)[0])}
    if origin is dict:
        value = get_args(annotation)[1]
        if value is Any:
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        return {"type": "object", "additionalProperties": schema_of_type(value)}
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return _object(annotation)
    return {"type": _SCALARS[annotation]}


_SCALARS: dict[Any, str] = {str: "string", int: "integer", bool: "boolean", float: "number"}


def _annotated(annotation: Any) -> Schema:
    found = schema_of_type(annotation.__origin__)
    for marker in annotation.__metadata__:
        if isinstance(marker, Marker):
            rules = found.get("x-kubernetes-validations", [])
            if "x-kubernetes-int-or-string" in marker.keywords:
                found.pop("type", None)
                found.pop("anyOf", None)
            if "x-kubernetes-preserve-unknown-fields" in marker.keywords:
                found.pop("additionalProperties", None)
            found |= marker.keywords
            if rules and "x-kubernetes-validations" in marker.keywords:
                found["x-kubernetes-validations"] = [*rules, *marker.keywords["x-kubernetes-validations"]]
    return found


def _union(members: tuple[Any, ...]) -> Schema:
    real = [member for member in members if member is not type(None)]
    if set(real) == {int, str}:
        return {"x-kubernetes-int-or-string": True}
    found = schema_of_type(real[0])
    if len(real) < len(members) and found.get("type") in ("integer", "number", "boolean"):
        found["nullable"] = True
    return found


def _object(cls: type[msgspec.Struct]) -> Schema:
    if cls is ObjectMeta:
        return {"type": "object", "description": "Name, namespace, labels and annotations of the object."}
    found: Schema = {"type": "object", "description": _summary(cls), "properties": {}}
    required = []
    for name, annotation, needed in _fields(cls):
        found["properties"][name] = schema_of_type(annotation)
        if needed:
            required.append(name)
    if required:
        found["required"] = required
    if issubclass(cls, Lenient) and not issubclass(cls, Model) and "metadata" not in found["properties"]:
        found["x-kubernetes-preserve-unknown-fields"] = True
    return found


def _summary(cls: type) -> str:
    return " ".join((cls.__doc__ or "").split())
