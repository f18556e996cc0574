"""A made-up CustomResourceDefinition that uses what CRDs can do, and one object of its kind."""

from __future__ import annotations

import copy
from typing import Any

from plait.resources.kinds import Kind
from plait.store.schema import crds

_SPEC: dict[str, Any] = {
    "type": "object",
    "required": ["size"],
    "x-kubernetes-validations": [
        {"rule": "self.replicas <= self.most", "message": "replicas may not exceed most"},
        {"rule": "self.colour == oldSelf.colour", "messageExpression": "'colour stays ' + oldSelf.colour"},
    ],
    "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 10},
        "replicas": {"type": "integer", "default": 1},
        "most": {"type": "integer", "default": 5},
        "colour": {"type": "string", "enum": ["red", "green"], "default": "red"},
        "label": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 8},
        "port": {"x-kubernetes-int-or-string": True},
        "note": {"type": "string", "nullable": True},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "parts": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["id"],
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"type": "string"}, "count": {"type": "integer", "default": 1}},
            },
        },
    },
}
_STATUS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "replicas": {"type": "integer"},
        "selector": {"type": "string"},
        "phase": {"type": "string"},
    },
}


def _version(name: str, *, storage: bool) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": copy.deepcopy(_SPEC), "status": copy.deepcopy(_STATUS)}}
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    return {
        "name": name,
        "served": True,
        "storage": storage,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}, "scale": scale},
        "additionalPrinterColumns": [
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
            {"name": "Colour", "type": "string", "jsonPath": ".spec.colour", "priority": 1},
            {"name": "First", "type": "string", "jsonPath": ".spec.parts[0].id"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
    }


def definition() -> dict[str, Any]:
    """The CRD as a user writes it."""
    names = {"kind": "Widget", "plural": "widgets", "shortNames": ["wd"], "categories": ["all"]}
    versions = [_version("v1", storage=True), _version("v1beta1", storage=False)]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.shop.example", "annotations": {"kept": "yes"}},
        "spec": {"group": "shop.example", "scope": "Namespaced", "names": names, "versions": versions},
    }


WIDGET: Kind = crds.kind_of(definition())


def widget(name: str = "w", **spec: Any) -> dict[str, Any]:
    """One valid Widget; `spec` adds or overrides fields."""
    return {
        "apiVersion": "shop.example/v1",
        "kind": "Widget",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"size": 3, **spec},
    }
