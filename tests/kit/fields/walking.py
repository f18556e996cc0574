"""Every field of a kind, by its schema, and documents that differ in exactly one of them."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]
Document = dict[str, Any]
KEY = "8080"
"""The key put into maps: a port where one is wanted, any name elsewhere."""


@dataclass(frozen=True, slots=True)
class Field:
    """A leaf: `path` as a reader writes it (`http[].match[].uri.exact`, `.*` for the values of a map)."""

    path: str
    schema: Schema
    required: bool

    @property
    def tokens(self) -> list[str]:
        return re.findall(r"\[\]|\.\*|[^.\[\]]+", self.path)


def fields(schema: Schema, path: str = "", required: bool = False) -> Iterator[Field]:
    """Leaves in the schema's order. A list or map of scalars is one leaf."""
    if schema.get("properties"):
        needed = schema.get("required", ())
        for name, inner in schema["properties"].items():
            yield from fields(inner, f"{path}.{name}" if path else name, name in needed)
    elif "properties" in schema.get("items", {}):
        yield from fields(schema["items"], f"{path}[]")
    elif isinstance(schema.get("additionalProperties"), dict) and "properties" in schema["additionalProperties"]:
        yield from fields(schema["additionalProperties"], f"{path}.*")
    else:
        yield Field(path, schema, required)


def at(document: Any, tokens: list[str]) -> Any:
    """What stands there; None when nothing does."""
    for token in tokens:
        try:
            document = document[0] if token == "[]" else document[KEY if token == ".*" else token]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def changed(document: Document, field: Field, schema: Schema, value: Any, samples: Any) -> Document:
    """A copy with the field set (`value` None: absent); parents are made with what they require."""
    made = copy.deepcopy(document)
    here: Any = made
    path = ""
    for token, following in zip(field.tokens, field.tokens[1:], strict=False):
        schema, path = _inner(schema, token), _path(path, token)
        fresh: Any = [] if following == "[]" else {}
        if token == "[]":
            if not here:
                here.append(fresh)
            here = here[0]
        else:
            here = here.setdefault(KEY if token == ".*" else token, fresh)
        if isinstance(here, dict):
            for name in schema.get("required", ()):
                if name not in here and "properties" in schema:
                    here[name] = sample(schema["properties"][name], f"{path}.{name}", samples)
    last = KEY if field.tokens[-1] == ".*" else field.tokens[-1]
    if value is None:
        here.pop(last, None)
    else:
        here[last] = copy.deepcopy(value)
    return made


def sample(schema: Schema, path: str, samples: Any) -> Any:
    """A value for a field that something else requires."""
    if "properties" in schema:
        return {
            name: sample(schema["properties"][name], f"{path}.{name}", samples) for name in schema.get("required", ())
        }
    if "properties" in schema.get("items", {}):
        return [sample(schema["items"], f"{path}[]", samples)]
    return samples(path, schema)[0]


def _inner(schema: Schema, token: str) -> Schema:
    if token == "[]":
        found = schema["items"]
    elif token == ".*":
        found = schema["additionalProperties"]
    else:
        found = schema["properties"][token]
    return dict(found)


def _path(path: str, token: str) -> str:
    return f"{path}{token}" if token in ("[]", ".*") else f"{path}.{token}".lstrip(".")
