"""Patches: what each kind does to a document, and how a bad one is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from plait.resources import kinds
from plait.store.patch import PatchError, json_patch, merge_patch, strategic_patch
from plait.store.schema.schemas import Schemas

POD = Schemas().get(kinds.POD, "v1")
DEPLOYMENT = Schemas().get(kinds.DEPLOYMENT, "v1")


def pod(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "p", "finalizers": ["a", "b"]}, "spec": {"containers": list(containers)}}


def spec(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    before = copy.deepcopy(document)
    out = strategic_patch(document, {"spec": patch}, POD)["spec"]
    assert document == before, "the argument was changed"
    return out


def test_json_patch_applies_operations_in_order() -> None:
    patch = [{"op": "add", "path": "/a/1", "value": 9}, {"op": "test", "path": "/a/1", "value": 9}]
    assert json_patch({"a": [1, 2]}, patch) == {"a": [1, 9, 2]}


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({"op": "add"}, 400),
        ([{"op": "sing", "path": "/a"}], 400),
        ([{"op": "remove", "path": "/nope"}], 422),
        ([{"op": "test", "path": "/a", "value": 2}], 422),
        ([{"op": "replace", "path": "", "value": 3}], 422),
        ([{"op": "remove", "path": "/a"}] * 10_001, 413),
    ],
)
def test_a_json_patch_that_cannot_be_applied_is_refused_with_its_code(patch: Any, code: int) -> None:
    with pytest.raises(PatchError) as refused:
        json_patch({"a": 1}, patch)
    assert refused.value.code == code


def test_merge_patch_removes_nulls_and_replaces_lists() -> None:
    document = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert merge_patch(document, {"a": {"b": None, "c": [3]}, "e": {"f": None}}) == {"a": {"c": [3]}, "d": 3, "e": {}}


def test_a_merge_patch_must_be_an_object() -> None:
    with pytest.raises(PatchError):
        merge_patch({}, [1])


def test_strategic_patch_merges_containers_by_name() -> None:
    old = pod({"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b", "image": "1"})
    new = spec(old, {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}, {"name": "c"}]})
    assert new["containers"] == [
        {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
        {"name": "b", "image": "1"},
        {"name": "c"},
    ]


def test_delete_directive_removes_one_list_item() -> None:
    old = pod({"name": "a"}, {"name": "b"})
    assert spec(old, {"containers": [{"$patch": "delete", "name": "a"}]})["containers"] == [{"name": "b"}]


def test_replace_directive_replaces_a_list_or_an_object() -> None:
    old = pod({"name": "a"}, {"name": "b"})
    assert spec(old, {"containers": [{"name": "z"}, {"$patch": "replace"}]})["containers"] == [{"name": "z"}]
    assert spec(old, {"$patch": "replace", "nodeName": "n"}) == {"nodeName": "n"}


def test_set_element_order_orders_patched_items_among_the_servers_own() -> None:
    old = pod({"name": "a"}, {"name": "b"}, {"name": "server"}, {"name": "c"})
    order = [{"name": "c"}, {"name": "b"}, {"name": "new"}, {"name": "a"}]
    new = spec(old, {"$setElementOrder/containers": order, "containers": [{"name": "new"}]})
    assert [each["name"] for each in new["containers"]] == ["server", "c", "b", "new", "a"]


def test_delete_from_primitive_list_removes_values() -> None:
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}}
    assert strategic_patch(pod(), patch, POD)["metadata"]["finalizers"] == ["b", "c"]


def test_retain_keys_drops_what_it_does_not_name() -> None:
    old = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert strategic_patch(old, patch, DEPLOYMENT) == {"spec": {"strategy": {"type": "Recreate"}}}
    bad = {"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": {}}}}
    with pytest.raises(PatchError, match="retainKeys"):
        strategic_patch(old, bad, DEPLOYMENT)


def test_directives_never_reach_the_document() -> None:
    patch = {"securityContext": {"$retainKeys": ["runAsUser"], "runAsUser": 1}, "containers": [{"name": "q"}]}
    assert "$" not in str(spec({"spec": {}}, patch))


@pytest.mark.parametrize(
    "patch",
    [{"containers": [{"image": "nameless"}]}, {"$patch": "sing"}, {"$strange": 1}, {"containers": ["x"]}],
)
def test_a_malformed_strategic_patch_is_refused(patch: dict[str, Any]) -> None:
    with pytest.raises(PatchError) as refused:
        spec(pod({"name": "a"}), patch)
    assert refused.value.code == 400


def test_lists_without_a_merge_key_are_replaced() -> None:
    old = pod({"name": "a", "args": ["1", "2"]})
    assert spec(old, {"containers": [{"name": "a", "args": ["3"]}]})["containers"][0]["args"] == ["3"]
