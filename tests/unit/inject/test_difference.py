"""A JSON patch applied gives the document it was made for."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.inject.difference import difference
from plait.store.patch import json_patch

NAMES = st.text(alphabet="a/~b.", max_size=4)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2), max_leaves=6
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=4)


@given(DOCUMENTS, DOCUMENTS)
def test_applied_it_makes_the_new_document(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert json_patch(old, difference(old, new)) == new


@given(DOCUMENTS)
def test_equal_documents_differ_in_nothing(document: dict[str, Any]) -> None:
    assert difference(document, document) == []
