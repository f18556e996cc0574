"""What a CRD's document means: kind, versions, columns, conditions, and what makes it unusable."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kit.widgets import definition
from plait.store.schema import crds


def changed(*steps: Any, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(definition())
    at: Any = document
    for step in steps[:-1]:
        at = at[step]
    at[steps[-1]] = value
    return document


SCHEMA = ("spec", "versions", 0, "schema", "openAPIV3Schema")


def test_the_kind_has_the_storage_version_first_and_every_subresource() -> None:
    document = definition()
    document["spec"]["versions"].reverse()
    document["spec"]["versions"].append({"name": "v0", "served": False, "storage": False})
    kind = crds.kind_of(document)
    assert kind.versions == ("v1", "v1beta1")
    assert (kind.kind, kind.plural, kind.group, kind.namespaced) == ("Widget", "widgets", "shop.example", True)
    assert (kind.short_names, kind.categories, kind.subresources) == (("wd",), ("all",), ("scale", "status"))


def test_completed_names_follow_the_kind_and_keep_what_was_given() -> None:
    names = crds.completed(definition())["spec"]["names"]
    assert (names["singular"], names["listKind"]) == ("widget", "WidgetList")
    given = changed("spec", "names", "singular", value="gizmo")
    assert crds.completed(given)["spec"]["names"]["singular"] == "gizmo"


def test_a_usable_definition_has_no_problems() -> None:
    assert crds.problems(definition()) == []
    assert crds.unenforced(definition()) == []


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (changed("metadata", "name", value="x.y"), "metadata.name"),
        (changed("spec", "versions", 0, "storage", value=False), "spec.versions"),
        (changed("spec", "versions", 1, "name", value="v1"), "spec.versions[1].name"),
        (changed("spec", "versions", 0, "schema", value={}), "spec.versions[0].schema.openAPIV3Schema"),
        (changed(*SCHEMA, "type", value="array"), "spec.versions[0].schema.openAPIV3Schema.type"),
        (
            changed(*SCHEMA, "properties", "spec", "properties", "size", value={"minimum": 1}),
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[size].type",
        ),
        (
            changed(*SCHEMA, "properties", "spec", "properties", "parts", value={"type": "array"}),
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[parts].items",
        ),
        (
            changed(*SCHEMA, "properties", "spec", "properties", "label", value={"type": "text"}),
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[label].type",
        ),
        (
            changed(*SCHEMA, "properties", "spec", "properties", "labels", "additionalProperties", value={}),
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[labels].additionalProperties.type",
        ),
        (changed("spec", "conversion", value={"strategy": "Webhook"}), "spec.conversion.strategy"),
    ],
)
def test_an_unusable_definition_is_named_by_path(document: dict[str, Any], path: str) -> None:
    assert path in [each for each, _ in crds.problems(document)]


def test_transition_times_change_with_the_status_only() -> None:
    document = definition()
    document["status"] = crds.accepted(document, now="t1")
    again = {**document, "status": crds.accepted(document, now="t2")}
    assert crds.established(again)
    assert {c["lastTransitionTime"] for c in again["status"]["conditions"]} == {"t1"}
    again["status"] = crds.accepted(again, now="t3", taken="others.shop.example")
    assert not crds.established(again)
    assert {c["lastTransitionTime"] for c in again["status"]["conditions"]} == {"t3"}
    assert again["status"]["storedVersions"] == ["v1"]


def test_a_new_storage_version_is_added_to_those_stored() -> None:
    document = definition()
    document["status"] = crds.accepted(document, now="t")
    for version in document["spec"]["versions"]:
        version["storage"] = version["name"] == "v1beta1"
    assert crds.accepted(document, now="t")["storedVersions"] == ["v1", "v1beta1"]


def test_terminating_is_said_once_and_survives_the_other_conditions() -> None:
    document = definition()
    document["status"] = crds.accepted(document, now="t1")
    document["status"] = crds.terminating(document, now="t2")
    assert crds.terminating(document, now="t3") == document["status"]
    kept = crds.accepted(document, now="t4")["conditions"]
    assert [(c["type"], c["status"]) for c in kept] == [
        ("NamesAccepted", "True"),
        ("Established", "True"),
        ("Terminating", "True"),
    ]


def test_a_pattern_only_go_can_read_is_accepted_with_a_warning_and_nonsense_is_refused() -> None:
    where = (*SCHEMA, "properties", "spec", "properties", "label", "pattern")
    assert crds.problems(changed(*where, value=r"^\pL+$")) == []
    assert [r"^\pL+$" in each for each in crds.unenforced(changed(*where, value=r"^\pL+$"))] == [True]
    assert crds.problems(changed(*where, value=r"^a\z")) == []
    assert crds.unenforced(changed(*where, value=r"^a\z")) == []
    assert len(crds.problems(changed(*where, value="("))) == 1
