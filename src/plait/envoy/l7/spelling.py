"""One spelling for documents people bring along (EnvoyFilter): the field names of Envoy's API, whatever was written.

People write camelCase or snake_case; merging needs one of them. TypedStruct becomes the message it stands for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor

from plait.base.type_urls import PREFIX
from plait.envoy.descriptors import describe
from plait.envoy.pieces import Doc

_STRUCTS = ("google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue")
_TYPED = ("udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct")


def proper(type_name: str, value: Any) -> Any:
    """The value with proper names; unknown fields stay as they are, for the encoder to name."""
    full = type_name.removeprefix(PREFIX)
    if full == "google.protobuf.Any" and isinstance(value, Mapping):
        return _any(value)
    if full in _STRUCTS or full.startswith("google.protobuf.") or not isinstance(value, Mapping):
        return value
    try:
        kind = describe(full)
    except KeyError:
        return dict(value)
    return _message(kind, value)


def _message(kind: Descriptor, value: Mapping[str, Any]) -> Doc:
    fields = {spelled: field for field in kind.fields for spelled in (field.name, field.json_name)}
    out: Doc = {}
    for key, inner in value.items():
        field = fields.get(key)
        if field is None:
            out[key] = inner
            continue
        if field.message_type is None or inner is None:
            out[field.name] = inner
        elif field.message_type.GetOptions().map_entry:
            entry = field.message_type.fields_by_name["value"]
            name = entry.message_type.full_name if entry.message_type else ""
            each = inner.items() if isinstance(inner, Mapping) else ()
            out[field.name] = {k: proper(name, v) if name else v for k, v in each}
        elif field.is_repeated and isinstance(inner, list):
            out[field.name] = [proper(field.message_type.full_name, item) for item in inner]
        else:
            out[field.name] = proper(field.message_type.full_name, inner)
    return out


def _any(value: Mapping[str, Any]) -> Doc:
    url = str(value.get("@type", ""))
    name = url.rpartition("/")[2]
    if name in _TYPED:
        url = str(value.get("type_url", value.get("typeUrl", "")))
        inner = value.get("value", {})
        return {"@type": url, **proper(url.rpartition("/")[2], inner if isinstance(inner, Mapping) else {})}
    body = {key: inner for key, inner in value.items() if key != "@type"}
    if name in _STRUCTS or name.startswith("google.protobuf."):
        return {"@type": url, **body}
    return {"@type": url, **proper(name, body)}
