"""Laws of server-side apply, on generated configurations of a schema with every kind of list and map."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.store.managed import apply, record_update

ITEM = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "proto": {"type": "string", "default": "TCP"}, "v": {"type": "integer"}},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "metadata": {"type": "object", "properties": {"labels": {"additionalProperties": {"type": "string"}}}},
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer"},
                "text": {"type": "string"},
                "args": {"type": "array", "items": {"type": "string"}},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "items": {
                    "type": "array",
                    "items": ITEM,
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name", "proto"],
                },
                "whole": {"type": "object", "x-kubernetes-map-type": "atomic"},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        },
    },
}
words = st.sampled_from(["a", "b", "c", "d"])
numbers = st.integers(0, 2)
items = st.lists(
    st.fixed_dictionaries({"name": words}, optional={"v": numbers, "proto": st.sampled_from(["TCP", "UDP"])}),
    max_size=4,
    unique_by=lambda item: (item["name"], item.get("proto", "TCP")),
)
specs = st.fixed_dictionaries(
    {},
    optional={
        "size": numbers,
        "text": words,
        "args": st.lists(words, max_size=3),
        "tags": st.lists(words, max_size=3, unique=True),
        "items": items,
        "whole": st.dictionaries(words, numbers, max_size=2),
        "free": st.dictionaries(words, st.dictionaries(words, numbers, max_size=2), max_size=2),
    },
)
documents = st.builds(
    lambda spec, labels: {"metadata": {"name": "x", "labels": labels}, "spec": spec},
    specs,
    st.dictionaries(words, words, max_size=3),
)


def put(live: Any, config: Any, manager: str, *, force: bool = True, now: str = "t0") -> dict[str, Any]:
    before = copy.deepcopy((live, config))
    out = apply(live, config, manager=manager, force=force, schema=SCHEMA, now=now, api_version="v1")
    assert (live, config) == before, "an argument was changed"
    return out


@given(documents)
def test_applying_twice_changes_nothing(config: Any) -> None:
    once = put(None, config, "a")
    assert put(once, config, "a", force=False, now="t1") == once


@given(documents, documents)
def test_applying_twice_over_another_managers_object_changes_nothing(first: Any, second: Any) -> None:
    once = put(put(None, first, "a"), second, "b")
    assert put(once, second, "b", force=False, now="t1") == once


@given(documents, documents)
def test_a_forced_apply_has_its_way(first: Any, second: Any) -> None:
    out = put(put(None, first, "a"), second, "b")
    for name, value in second["spec"].items():
        if name in ("size", "text", "args", "whole"):
            assert out["spec"][name] == value
    assert set(second["metadata"]["labels"].items()) <= set(out["metadata"]["labels"].items())
    assert set(second["spec"].get("tags", [])) <= set(out["spec"].get("tags", []))


@given(specs)
def test_disjoint_fields_of_two_managers_both_survive(spec: Any) -> None:
    names = sorted(spec)
    mine = {"metadata": {"name": "x"}, "spec": {name: spec[name] for name in names[::2]}}
    yours = {"metadata": {"name": "x"}, "spec": {name: spec[name] for name in names[1::2]}}
    out = put(put(None, mine, "a", force=False), yours, "b", force=False)
    assert out["spec"] == spec
    again = put(put(out, mine, "a", force=False), yours, "b", force=False)
    assert again == out


@given(documents)
def test_what_its_only_owner_no_longer_applies_is_gone(config: Any) -> None:
    out = put(put(None, config, "a"), {"metadata": {"name": "x"}, "spec": {"size": 1}}, "a")
    assert {key: value for key, value in out["spec"].items() if value not in ([], {})} == {"size": 1}
    assert not out["metadata"].get("labels")


@given(documents)
def test_what_two_managers_own_stays_until_both_let_go(config: Any) -> None:
    empty = {"metadata": {"name": "x"}}
    both = put(put(None, config, "a"), config, "b", force=False)
    one = put(both, empty, "a")
    assert {k: v for k, v in one["spec"].items() if v not in ([], {})} == {
        k: v for k, v in config["spec"].items() if v not in ([], {})
    }
    none = put(one, empty, "b")
    assert not [value for value in none.get("spec", {}).values() if value not in ([], {})]


@given(documents, documents)
def test_an_update_owns_exactly_what_it_changed(first: Any, second: Any) -> None:
    live = put(None, first, "a")
    new = {**second, "metadata": {**second["metadata"], "managedFields": live["metadata"].get("managedFields")}}
    if not new["metadata"]["managedFields"]:
        del new["metadata"]["managedFields"]
    out = record_update(live, new, manager="u", schema=SCHEMA, now="t1", api_version="v1")
    assert out["spec"] == second["spec"]
    unchanged = record_update(out, out, manager="v", schema=SCHEMA, now="t2", api_version="v1")
    assert unchanged == out
