"""Every served kind has a schema, in the form the server reads and in the form kubectl reads."""

from __future__ import annotations

from typing import Any

import pytest

from kit.widgets import WIDGET, definition
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.schema.schemas import OBJECT_META, Schemas, definition_name, structural

ALL = Schemas()


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    if isinstance(value, list):
        return set().union(*map(references, value))
    return set()


@pytest.mark.parametrize("kind", kinds.ALL, ids=str)
def test_every_kind_has_a_resolved_schema_with_full_metadata_at_each_version(kind: Kind) -> None:
    for version in kind.versions:
        schema = ALL.get(kind, version)
        assert schema is not None
        assert schema["properties"]["metadata"]["properties"]["ownerReferences"]["type"] == "array"
        assert references(schema) == set()
        assert "x-kubernetes-preserve-unknown-fields" not in schema


@pytest.mark.parametrize("kind", kinds.ALL, ids=str)
def test_every_kind_is_published_closed_under_reference_with_its_identity(kind: Kind) -> None:
    for version in kind.versions:
        found = ALL.definitions(kind.group, version)
        schema = found[definition_name(kind, version)]
        identity = {"group": kind.group, "version": version, "kind": kind.kind}
        assert identity in schema["x-kubernetes-group-version-kind"]
        assert {each.rpartition("/")[2] for each in references(found)} <= set(found)


def test_lists_of_built_in_kinds_say_how_they_merge() -> None:
    containers = (ALL.get(kinds.POD, "v1") or {})["properties"]["spec"]["properties"]["containers"]
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"


def test_a_definition_comes_changes_and_goes() -> None:
    schemas = Schemas()
    assert schemas.get(WIDGET, "v1") is None
    schemas.add_crd(definition())
    assert schemas.crd_kinds() == (WIDGET,)
    found = schemas.get(WIDGET, "v1") or {}
    assert found["properties"]["spec"]["properties"]["size"]["maximum"] == 10
    assert found["properties"]["metadata"] is structural(OBJECT_META)
    second = definition()
    spec = second["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["size"]["maximum"] = 20
    schemas.add_crd(second)
    assert (schemas.get(WIDGET, "v1") or {})["properties"]["spec"]["properties"]["size"]["maximum"] == 20
    assert "example.shop.v1.Widget" in schemas.definitions("shop.example", "v1")
    schemas.remove_crd("widgets.shop.example")
    assert schemas.get(WIDGET, "v1") is None
    assert schemas.definitions("shop.example", "v1").keys().isdisjoint({"example.shop.v1.Widget"})
