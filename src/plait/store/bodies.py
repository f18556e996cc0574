"""Bytes in and out: request bodies (JSON, YAML, protobuf, patches) to documents, and what form an answer takes."""

from __future__ import annotations

import re
from typing import Any, Literal

import orjson
import yaml

from plait.store import errors, protobuf
from plait.store.api import Document, PatchType
from plait.store.schema.fields import duplicate_keys

Form = Literal["object", "Table", "PartialObjectMetadata"]
_PATCHES: dict[str, PatchType] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
_ACCEPTED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"


def decode(raw: bytes, content_type: str) -> tuple[Any, list[str]]:
    """The body of a create, update or delete, and the keys that stood in it twice."""
    media = content_type.partition(";")[0].strip().lower()
    if not raw:
        return {}, []
    if media == "application/vnd.kubernetes.protobuf":
        try:
            return protobuf.decode(raw), []
        except ValueError as error:
            raise errors.bad_request(f"unable to decode the protobuf body: {error}") from error
    if media in ("application/yaml", "application/apply-patch+yaml"):
        return _yaml(raw), []
    if media in ("application/json", "", "*/*", "text/plain", "application/octet-stream"):
        return _json(raw), duplicate_keys(raw)
    raise errors.unsupported_media(media, _ACCEPTED)


def decode_patch(raw: bytes, content_type: str) -> tuple[Any, PatchType]:
    media = content_type.partition(";")[0].strip().lower()
    how = _PATCHES.get(media)
    if how is None:
        raise errors.unsupported_media(media, ", ".join(_PATCHES))
    return (_yaml(raw) if how == "apply" else _json(raw)), how


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise errors.bad_request(f"the body is not valid JSON: {error}") from error


class _Loader(yaml.CSafeLoader):
    """Times stay text: JSON has none."""


_Loader.yaml_implicit_resolvers = {
    key: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for key, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _yaml(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    try:
        return yaml.load(raw, Loader=_Loader)  # noqa: TID251 - a safe loader without times
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise errors.bad_request(f"the body is not valid YAML: {error}") from error


def form(accept: str) -> Form:
    """The first form in an Accept header that we can give. JSON is always acceptable."""
    for option in accept.split(","):
        if "protobuf" in option or "cbor" in option:
            continue
        found = re.search(r";\s*as=(Table|PartialObjectMetadata)(List)?\b", option)
        if found and "g=meta.k8s.io" in option and "v=v1beta1" not in option:
            return found[1]  # type: ignore[return-value]
        if not found:
            return "object"
    return "object"


def partial(document: Document) -> Document:
    """Only the metadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": document["metadata"]}
