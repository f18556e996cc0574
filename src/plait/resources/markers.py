"""How a field of a typed model says what its Python type cannot: limits, patterns, defaults, list keys, CEL rules.

Markers stand in `Annotated[...]`; the decoder ignores them, `schema.py` turns them into OpenAPI and `structure.py`
checks by that schema. So decoding stays fast and every limit is written once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec


@dataclass(frozen=True, slots=True, eq=False)  # by identity: typing puts markers into sets
class Marker:
    """OpenAPI keywords to lay over the schema of the annotated type."""

    keywords: Mapping[str, Any]


def limit(**keywords: Any) -> Marker:
    """OpenAPI keywords by their own names: minimum, maxItems, pattern, enum, format, default, description."""
    return Marker(keywords)


def keyed(*names: str) -> Marker:
    """A list whose items are told apart by these fields."""
    return Marker({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(names)})


def doc(text: str) -> Marker:
    return Marker({"description": text})


def cel(rule: str, message: str) -> Marker:
    """A rule the API server states in the schema; our own checks of the same rule are in `rules/`."""
    return Marker({"x-kubernetes-validations": [{"rule": rule, "message": message}]})


ATOMIC = Marker({"x-kubernetes-list-type": "atomic"})
SET = Marker({"x-kubernetes-list-type": "set"})
OPEN = Marker({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
INT_OR_STRING = Marker({"x-kubernetes-int-or-string": True})


def camel(name: str) -> str:
    """The JSON name of a field: `from_` is `from`, `consecutive_5xx_errors` is `consecutive5xxErrors`."""
    head, *rest = name.rstrip("_").split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


class Model(msgspec.Struct, frozen=True, kw_only=True, rename=camel, forbid_unknown_fields=True, omit_defaults=True):
    """A message of an API: immutable, JSON names in camelCase, unknown fields refused."""


class Lenient(msgspec.Struct, frozen=True, kw_only=True, rename=camel, omit_defaults=True):
    """A message of which we read only some fields; the others are somebody else's business."""


Int32 = Annotated[int, limit(format="int32")]
Int64 = Annotated[int, limit(format="int64")]
UInt32 = Annotated[int, limit(minimum=0, maximum=4294967295)]
UInt64 = Annotated[int, limit(minimum=0)]
Port = Annotated[int, limit(format="int32", minimum=1, maximum=65535)]
AnyPort = Annotated[int, limit(minimum=0, maximum=65535)]  # 0 stands for "not given"
Double = Annotated[float, limit(format="double")]
Percent = Annotated[float, limit(format="double", minimum=0, maximum=100)]
Status = Annotated[int, limit(minimum=100, maximum=599)]
Duration = Annotated[str, limit(format="go-duration")]  # 1h30m, 1.5s, 100ms; see durations.py
Text = Annotated[str, limit(minLength=1)]
Struct = Annotated[dict[str, Any], OPEN]
IntOrString = Annotated[int | str, INT_OR_STRING]
LabelMap = Annotated[
    dict[str, Annotated[str, limit(maxLength=63)]],
    limit(maxProperties=4096),
    cel("self.all(key, !key.contains('*'))", "no wildcard in a label name"),
    cel("self.all(key, key.size() != 0)", "no empty label name"),
]
