"""Whatever a document holds, validation answers with problems and never raises."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.resources.decode import decode
from plait.resources.documents import read
from plait.resources.registry import TYPES
from plait.resources.schema import schema_of
from plait.resources.validate import validate

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def shaped(draw: st.DrawFn, schema: dict[str, Any], depth: int = 0) -> Any:
    """A value that mostly fits the schema, with junk here and there."""
    if draw(st.integers(0, 11)) == 0:
        return draw(junk)
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    match schema.get("type"):
        case "object":
            properties = schema.get("properties") or {}
            names = sorted(properties)
            chosen = set(schema.get("required", ()))
            if names and depth < 8:
                chosen |= set(draw(st.lists(st.sampled_from(names), max_size=3)))
            made = {name: draw(shaped(properties[name], depth + 1)) for name in sorted(chosen)}
            if isinstance(values := schema.get("additionalProperties"), dict):
                made[draw(st.text(max_size=5))] = draw(shaped(values, depth + 1))
            return made
        case "array":
            return [draw(shaped(schema["items"], depth + 1)) for _ in range(draw(st.integers(0, 2)))]
        case "integer":
            return draw(st.integers(-1, 70000))
        case "number":
            return draw(st.floats(-1, 101))
        case "boolean":
            return draw(st.booleans())
    return draw(st.sampled_from(["", "a", "*", "*.a.b", "1s", "10.0.0.0/8", "(", "{*}", "/x"]) | st.text(max_size=6))


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(TYPES, key=str)))
    head = {"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": "a"}}
    try:
        body = draw(shaped(schema_of(kind)))
    except LookupError:
        body = {"spec": draw(junk)}
    return {**(body if isinstance(body, dict) else {}), **head}


@given(documents())
@pytest.mark.reliability(number=25)
def test_validation_of_any_document_ends_with_problems(document: dict[str, Any]) -> None:
    problems = validate(document)
    typed, unread = decode(document)
    assert typed is not None or unread
    if typed is None:
        assert any(p.severity == "error" for p in problems)


@given(st.dictionaries(st.text(max_size=5), junk, max_size=4))
@pytest.mark.reliability(number=25)
def test_validation_of_junk_ends_with_problems(document: dict[str, Any]) -> None:
    assert validate(document)


@given(st.text())
@pytest.mark.reliability(number=25)
def test_reading_any_text_never_raises(text: str) -> None:
    documents, problems = read(text, "x")
    assert all(isinstance(each.document, dict) for each in documents)
    assert all(p.message for p in problems)
