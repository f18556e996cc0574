"""/openapi/v2, as far as kubectl before 1.29 needs it: which kinds' PATCH takes fieldValidation and dryRun.

Those kubectls ask only here, accept only the protobuf form of gnostic's OpenAPIv2.proto, and refuse to apply without
it. Schemas are not repeated: what a kind looks like is said in /openapi/v3.
"""

from __future__ import annotations

import json

from plait.resources.kinds import Kind
from plait.store import discovery
from plait.store.discovery import Catalog

CONTENT_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force")


def _field(number: int, content: bytes | str) -> bytes:
    """One length-delimited protobuf field."""
    raw = content.encode() if isinstance(content, str) else content
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def document(catalog: Catalog) -> bytes:
    """A Document with a PATCH operation for each served kind and version."""
    paths = b""
    for group, versions in catalog.groups().items():
        for version in versions:
            root = f"/apis/{group}/{version}" if group else f"/api/{version}"
            for kind in catalog.of(group, version):
                if kind not in discovery.REVIEWS:
                    where = f"{root}/{kind.plural}/{{name}}"
                    paths += _field(2, _field(1, where) + _field(2, _field(8, _patch(kind, version))))
    info = _field(1, "Kubernetes") + _field(2, discovery.VERSION["gitVersion"])
    return _field(1, "2.0") + _field(2, info) + _field(8, paths)


def _patch(kind: Kind, version: str) -> bytes:
    operation = b""
    for name in _PARAMETERS:
        query = _field(2, "query") + _field(4, name) + _field(7, "string")
        operation += _field(8, _field(1, _field(2, _field(3, query))))
    gvk = json.dumps({"group": kind.group, "version": version, "kind": kind.kind})
    return operation + _field(13, _field(1, "x-kubernetes-group-version-kind") + _field(2, _field(2, gvk)))
