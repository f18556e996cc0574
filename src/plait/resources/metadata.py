"""Is metadata as Kubernetes wants it: names, namespace, labels, annotations?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from plait.resources import codes, structure
from plait.resources.kinds import Kind
from plait.resources.structure import Finding

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_ANY_PATH_NAME = frozenset({"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"})
_STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
_TEXT = {"type": "string"}
_OBJECTS = {"type": "array", "items": {"type": "object"}}
_SCHEMA = {
    "type": "object",
    "properties": {
        **dict.fromkeys(
            (
                "name",
                "generateName",
                "namespace",
                "selfLink",
                "uid",
                "resourceVersion",
                "creationTimestamp",
                "deletionTimestamp",
                "clusterName",
            ),
            _TEXT,
        ),
        "generation": {"type": "integer"},
        "deletionGracePeriodSeconds": {"type": "integer"},
        "labels": _STRINGS,
        "annotations": _STRINGS,
        "ownerReferences": _OBJECTS,
        "managedFields": _OBJECTS,
        "finalizers": {"type": "array", "items": _TEXT},
    },
}


def check(metadata: Any, kind: Kind) -> Iterator[Finding]:
    """Everything wrong with the metadata of an object of this kind."""
    if metadata is None:
        yield Finding(codes.METADATA, "metadata", "metadata is missing; add it with a name")
        return
    wrong = list(structure.check(metadata, _SCHEMA, "metadata"))
    yield from wrong
    if not isinstance(metadata, dict):
        return
    yield from _names(metadata, kind)
    if isinstance(labels := metadata.get("labels"), dict):
        yield from label_findings(labels, "metadata.labels")
    if isinstance(annotations := metadata.get("annotations"), dict):
        for key in annotations:
            yield from _key(key.lower(), f"metadata.annotations[{key}]")
        if sum(len(k) + len(v) for k, v in annotations.items() if isinstance(v, str)) > 256 << 10:
            yield Finding(codes.METADATA, "metadata.annotations", "annotations are larger than 256 KiB; shorten them")


def _names(metadata: dict[str, Any], kind: Kind) -> Iterator[Finding]:
    name, prefix, namespace = metadata.get("name"), metadata.get("generateName"), metadata.get("namespace")
    if not name and not prefix:
        yield Finding(codes.METADATA, "metadata.name", "the object has no name; add metadata.name")
    elif isinstance(name, str) and name and kind.kind not in _ANY_PATH_NAME:
        short = kind.group == "" and kind.kind in ("Namespace", "Service")
        expression = _SERVICE if kind.group == "" and kind.kind == "Service" else _LABEL if short else _SUBDOMAIN
        if not expression.fullmatch(name) or len(name) > (63 if short else 253):
            text = f"{name!r} is not a valid name; use lower-case letters, digits, '-' and (not at the ends) '.'"
            yield Finding(codes.METADATA, "metadata.name", text)
    if isinstance(namespace, str) and namespace:
        if not kind.namespaced:
            yield Finding(codes.METADATA, "metadata.namespace", f"{kind.kind} has no namespace; remove the field")
        elif not _LABEL.fullmatch(namespace) or len(namespace) > 63:
            text = f"{namespace!r} is not a valid namespace; use lower-case letters, digits and '-'"
            yield Finding(codes.METADATA, "metadata.namespace", text)


def label_findings(labels: dict[str, Any], path: str) -> Iterator[Finding]:
    """What is wrong with a map of labels."""
    for key, value in labels.items():
        yield from _key(key, f"{path}[{key}]")
        if isinstance(value, str) and value and (len(value) > 63 or not _QUALIFIED.fullmatch(value)):
            text = (
                f"{value!r} is not a label value; use up to 63 letters, digits, '-', '_', '.', alphanumeric at the ends"
            )
            yield Finding(codes.METADATA, f"{path}[{key}]", text)


def _key(key: str, path: str) -> Iterator[Finding]:
    prefix, slash, name = key.rpartition("/")
    bad_prefix = slash and (not _SUBDOMAIN.fullmatch(prefix) or len(prefix) > 253)
    if bad_prefix or len(name) > 63 or not _QUALIFIED.fullmatch(name):
        text = f"{key!r} is not a valid key; write name or domain/name with a name of up to 63 letters, digits, '-_.'"
        yield Finding(codes.METADATA, path, text)
