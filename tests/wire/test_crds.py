"""Custom resources end to end on the real server: definition, discovery, validation, subresources, deletion."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kit import apiserver
from kit.widgets import WIDGET, definition, widget
from plait.resources import kinds
from plait.resources.kinds import CRD, NAMESPACE
from plait.resources.registry import MESH
from plait.resources.schema import schema_of
from plait.store.api import ApiError, Document
from plait.store.ask import Ask
from plait.store.client import path


@pytest.fixture
async def bare() -> AsyncIterator[apiserver.Cluster]:
    async with apiserver.running() as running:
        yield running


@pytest.fixture
async def cluster(bare: apiserver.Cluster) -> apiserver.Cluster:
    await bare.http.create(CRD, definition())
    return bare


def at(document: Document, *steps: Any) -> Any:
    for step in steps:
        document = document[step]
    return document


def conditions(crd: Document) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in crd["status"]["conditions"]}


async def refused(awaitable: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await awaitable
    return caught.value


async def test_a_definition_is_established_at_once_and_completed(bare: apiserver.Cluster) -> None:
    made = await bare.http.create(CRD, definition())
    assert conditions(made) == {
        "NamesAccepted": ("True", "NoConflicts"),
        "Established": ("True", "InitialNamesAccepted"),
    }
    assert made["status"]["storedVersions"] == ["v1"]
    assert (made["spec"]["names"]["singular"], made["spec"]["names"]["listKind"]) == ("widget", "WidgetList")
    assert made["metadata"]["annotations"]["kept"] == "yes"
    assert (await bare.http.list(WIDGET, "default"))[0] == []


async def test_both_kinds_of_discovery_and_openapi_show_it_at_once(bare: apiserver.Cluster) -> None:
    with pytest.raises(ApiError):
        await bare.http.call("GET", "/apis/shop.example/v1")
    await bare.http.create(CRD, definition())
    group = await bare.http.call("GET", "/apis/shop.example")
    assert [v["version"] for v in group["versions"]] == ["v1", "v1beta1"]
    rows = {r["name"]: r for r in (await bare.http.call("GET", "/apis/shop.example/v1"))["resources"]}
    assert rows["widgets"]["shortNames"] == ["wd"]
    assert set(rows) == {"widgets", "widgets/status", "widgets/scale"}
    assert (rows["widgets/scale"]["kind"], rows["widgets/scale"]["group"]) == ("Scale", "autoscaling")
    published = await bare.http.call("GET", "/openapi/v3/apis/shop.example/v1")
    schema = published["components"]["schemas"]["example.shop.v1.Widget"]
    assert schema["properties"]["spec"]["properties"]["size"]["maximum"] == 10
    assert "apis/shop.example/v1" in (await bare.http.call("GET", "/openapi/v3"))["paths"]


async def test_objects_are_pruned_and_defaulted(cluster: apiserver.Cluster) -> None:
    given = widget(free={"a": {"b": 1}}, parts=[{"id": "x"}], note=None, port="http", unknown=1)
    made = await cluster.http.create(WIDGET, given, "default")
    assert made["spec"] == {
        "size": 3,
        "replicas": 1,
        "most": 5,
        "colour": "red",
        "free": {"a": {"b": 1}},
        "parts": [{"id": "x", "count": 1}],
        "note": None,
        "port": "http",
    }
    assert made["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"size": 0}, "spec.size"),
        ({"size": "3"}, "spec.size"),
        ({"size": None}, "spec.size"),
        ({"colour": "blue"}, "spec.colour"),
        ({"label": "UPPER"}, "spec.label"),
        ({"label": "muchtoolong"}, "spec.label"),
        ({"port": 1.5}, "spec.port"),
        ({"labels": {"a": 1}}, "spec.labels.a"),
        ({"parts": [{"count": 2}]}, "spec.parts[0].id"),
        ({"parts": [{"id": "x"}, {"id": "x"}]}, "spec.parts[1]"),
        ({"replicas": 6}, "spec"),
    ],
)
async def test_a_wrong_value_is_refused_with_its_path(
    cluster: apiserver.Cluster, spec: dict[str, Any], field: str
) -> None:
    error = await refused(cluster.http.create(WIDGET, widget(**spec), "default"))
    assert (error.code, error.reason) == (422, "Invalid")
    assert [cause["field"] for cause in error.details["causes"]] == [field]


async def test_transition_rules_hold_on_updates_with_their_own_message(cluster: apiserver.Cluster) -> None:
    await cluster.http.create(WIDGET, widget(), "default")
    error = await refused(cluster.http.patch(WIDGET, "w", {"spec": {"colour": "green"}}, "default"))
    assert "colour stays red" in str(error)


async def test_strict_validation_names_unknown_fields_and_strategic_patches_are_refused(
    cluster: apiserver.Cluster,
) -> None:
    strict = {"fieldValidation": "Strict"}
    where = path(WIDGET, "default")
    error = await refused(cluster.http.call("POST", where, widget(sise=1), query=strict))
    assert 'unknown field "spec.sise"' in str(error)
    await cluster.http.create(WIDGET, widget(), "default")
    assert (await refused(cluster.http.patch(WIDGET, "w", {}, "default", type="strategic"))).code == 415


async def test_both_versions_read_and_write_one_object(cluster: apiserver.Cluster) -> None:
    await cluster.http.create(WIDGET, widget(), "default")
    where = "/apis/shop.example/v1beta1/namespaces/default/widgets/w"
    old = await cluster.http.call("GET", where)
    assert old["apiVersion"] == "shop.example/v1beta1"
    await cluster.http.call("PUT", where, {**old, "spec": {**old["spec"], "size": 9}})
    new = await cluster.http.get(WIDGET, "w", "default")
    assert (new["apiVersion"], new["spec"]["size"], new["metadata"]["generation"]) == ("shop.example/v1", 9, 2)


async def test_status_and_spec_are_written_apart(cluster: apiserver.Cluster) -> None:
    made = await cluster.http.create(WIDGET, {**widget(), "status": {"phase": "Ready"}}, "default")
    assert "status" not in made
    changed = {**made, "status": {"phase": "Ready"}, "spec": {**made["spec"], "size": 9}}
    after = await cluster.http.replace(WIDGET, changed, subresource="status")
    assert (after["status"], after["spec"]["size"]) == ({"phase": "Ready"}, 3)
    assert after["metadata"]["generation"] == 1


async def test_scale_reads_and_writes_the_paths_of_the_definition(cluster: apiserver.Cluster) -> None:
    await cluster.http.create(WIDGET, widget(replicas=2), "default")
    status = {"status": {"replicas": 2, "selector": "app=w"}}
    await cluster.http.patch(WIDGET, "w", status, "default", subresource="status")
    where = path(WIDGET, "default", "w") + "/scale"
    scale = await cluster.http.call("GET", where)
    assert (scale["kind"], scale["spec"], scale["status"]) == (
        "Scale",
        {"replicas": 2},
        {"replicas": 2, "selector": "app=w"},
    )
    await cluster.http.call("PUT", where, {**scale, "spec": {"replicas": 4}})
    assert (await cluster.http.get(WIDGET, "w", "default"))["spec"]["replicas"] == 4
    error = await refused(
        cluster.http.call("PUT", where, {**scale, "metadata": {"name": "w"}, "spec": {"replicas": 6}})
    )
    assert "replicas may not exceed most" in str(error)


async def test_server_side_apply_merges_keyed_lists_by_their_key(cluster: apiserver.Cluster) -> None:
    await cluster.http.patch(WIDGET, "w", widget(parts=[{"id": "a"}]), "default", type="apply", manager="one")
    other = {k: v for k, v in widget().items() if k != "spec"} | {"spec": {"parts": [{"id": "b", "count": 2}]}}
    both = await cluster.http.patch(WIDGET, "w", other, "default", type="apply", manager="two")
    assert sorted(both["spec"]["parts"], key=lambda part: str(part["id"])) == [
        {"id": "a", "count": 1},
        {"id": "b", "count": 2},
    ]
    without = await cluster.http.patch(WIDGET, "w", widget(), "default", type="apply", manager="one")
    assert without["spec"]["parts"] == [{"id": "b", "count": 2}]


async def test_printer_columns_are_those_of_the_definition(cluster: apiserver.Cluster) -> None:
    await cluster.http.create(WIDGET, widget(parts=[{"id": "x"}]), "default")
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    table = await cluster.http.call("GET", path(WIDGET, "default"), accept=accept)
    assert [(c["name"], c["priority"]) for c in table["columnDefinitions"]] == [
        ("Name", 0),
        ("Size", 0),
        ("Colour", 1),
        ("First", 0),
        ("Age", 0),
    ]
    assert table["rows"][0]["cells"][:4] == ["w", 3, "red", "x"]


async def test_a_changed_definition_counts_from_the_next_request_on(cluster: apiserver.Cluster) -> None:
    await refused(cluster.http.create(WIDGET, widget(size=11), "default"))
    crd = await cluster.http.get(CRD, "widgets.shop.example")
    for version in crd["spec"]["versions"]:
        at(version, "schema", "openAPIV3Schema", "properties", "spec", "properties", "size")["maximum"] = 20
    await cluster.http.replace(CRD, crd)
    await cluster.http.create(WIDGET, widget(size=11), "default")


async def test_deleting_the_definition_removes_its_objects_and_its_paths(cluster: apiserver.Cluster) -> None:
    await cluster.http.create(WIDGET, widget(), "default")
    await cluster.http.delete(CRD, "widgets.shop.example")
    assert (await refused(cluster.http.get(CRD, "widgets.shop.example"))).code == 404
    assert (await refused(cluster.http.list(WIDGET, "default"))).code == 404
    groups = await cluster.http.call("GET", "/apis")
    assert "shop.example" not in [group["name"] for group in groups["groups"]]
    await cluster.http.create(CRD, definition())
    assert (await cluster.http.list(WIDGET, "default"))[0] == []


async def test_a_definition_waits_for_the_finalizers_of_its_objects_and_takes_no_new_ones(
    cluster: apiserver.Cluster,
) -> None:
    held = widget()
    held["metadata"]["finalizers"] = ["shop.example/clean"]
    await cluster.http.create(WIDGET, held, "default")
    await cluster.http.delete(CRD, "widgets.shop.example")
    crd = await cluster.http.get(CRD, "widgets.shop.example")
    assert conditions(crd)["Terminating"][0] == "True"
    assert "deletionTimestamp" in (await cluster.http.get(WIDGET, "w", "default"))["metadata"]
    assert (await refused(cluster.http.create(WIDGET, widget("late"), "default"))).code == 405
    await cluster.http.patch(WIDGET, "w", {"metadata": {"finalizers": None}}, "default")
    assert (await refused(cluster.http.get(CRD, "widgets.shop.example"))).code == 404


async def test_names_in_use_are_not_accepted_until_their_holder_goes(cluster: apiserver.Cluster) -> None:
    second = definition()
    second["metadata"]["name"] = "gadgets.shop.example"
    second["spec"]["names"] = {"kind": "Widget", "plural": "gadgets"}
    made = await cluster.http.create(CRD, second)
    assert conditions(made) == {"NamesAccepted": ("False", "Conflict"), "Established": ("False", "NotAccepted")}
    assert (await refused(cluster.http.call("GET", "/apis/shop.example/v1/gadgets"))).code == 404
    assert (await cluster.http.list(WIDGET))[0] == []
    await cluster.http.delete(CRD, "widgets.shop.example")
    assert conditions(await cluster.http.get(CRD, "gadgets.shop.example"))["Established"][0] == "True"
    await cluster.http.call("GET", "/apis/shop.example/v1/gadgets")


@pytest.mark.parametrize(
    ("steps", "value", "field"),
    [
        (("metadata", "name"), "other.shop.example", "metadata.name"),
        (("spec", "versions", 1, "storage"), True, "spec.versions"),
        (("spec", "versions", 1, "name"), "v1", "spec.versions[1].name"),
        (("spec", "scope"), "Galactic", "spec.scope"),
        (("spec", "conversion"), {"strategy": "Webhook"}, "spec.conversion.strategy"),
        (
            (
                "spec",
                "versions",
                0,
                "schema",
                "openAPIV3Schema",
                "properties",
                "spec",
                "properties",
                "label",
                "pattern",
            ),
            "[",
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[label].pattern",
        ),
        (
            ("spec", "versions", 0, "schema", "openAPIV3Schema", "type"),
            "string",
            "spec.versions[0].schema.openAPIV3Schema.type",
        ),
    ],
)
async def test_a_definition_that_cannot_work_is_refused_by_path(
    bare: apiserver.Cluster, steps: tuple[Any, ...], value: Any, field: str
) -> None:
    broken = copy.deepcopy(definition())
    at(broken, *steps[:-1])[steps[-1]] = value
    error = await refused(bare.http.create(CRD, broken))
    assert error.code == 422
    assert field in [cause["field"] for cause in error.details["causes"]]


async def test_the_definition_of_a_built_in_kind_is_stored_and_changes_nothing(bare: apiserver.Cluster) -> None:
    gateway = next(kind for kind in kinds.ALL if kind.kind == "HTTPRoute")
    crd = definition()
    crd["metadata"] = {"name": f"{gateway.plural}.{gateway.group}", "annotations": {"bundle": "v1.4.0"}}
    names = {"kind": "HTTPRoute", "plural": gateway.plural}
    crd["spec"] |= {"group": gateway.group, "names": names}
    before = await bare.http.call("GET", f"/apis/{gateway.group}/v1")
    made = await bare.http.create(CRD, crd)
    assert conditions(made)["Established"][0] == "True"
    assert made["metadata"]["annotations"]["bundle"] == "v1.4.0"
    assert await bare.http.call("GET", f"/apis/{gateway.group}/v1") == before
    route: Document = {"metadata": {"name": "r"}, "spec": {"hostnames": ["a.example"]}}
    await bare.http.create(gateway, route, "default")
    await bare.http.delete(CRD, crd["metadata"]["name"])
    assert (await bare.http.get(gateway, "r", "default"))["spec"]["hostnames"] == ["a.example"]


async def test_definitions_and_objects_survive_a_restart(tmp_path: Any) -> None:
    async with apiserver.running(tmp_path) as first:
        await first.http.create(CRD, definition())
        await first.http.create(NAMESPACE, {"metadata": {"name": "n"}})
        made = await first.http.create(WIDGET, widget() | {"metadata": {"name": "w"}}, "n")
    async with apiserver.running(tmp_path) as second:
        assert await second.http.get(WIDGET, "w", "n") == made
        await refused(second.http.create(WIDGET, widget(size=11), "default"))


async def test_a_rule_that_cannot_be_read_is_accepted_with_a_warning(bare: apiserver.Cluster) -> None:
    odd = definition()
    at(odd, "spec", "versions", 0, "schema", "openAPIV3Schema")["x-kubernetes-validations"] = [{"rule": "self.size >"}]
    ask = Ask(CRD, "v1", "", "")
    await bare.running.verbs.create(ask, odd)
    assert len(ask.warnings) == 1
    assert "validation rule is not enforced: self.size >" in ask.warnings[0]
    await bare.http.create(WIDGET, widget(), "default")


async def test_the_definitions_of_all_mesh_kinds_can_be_applied(bare: apiserver.Cluster) -> None:
    groups = await bare.http.call("GET", "/apis")
    for kind in MESH:
        versions = [
            {
                "name": version,
                "served": True,
                "storage": version == kind.version,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema_of(kind, version)},
            }
            for version in kind.versions
        ]
        names = {"kind": kind.kind, "plural": kind.plural, "shortNames": list(kind.short_names)}
        scope = "Namespaced" if kind.namespaced else "Cluster"
        spec = {"group": kind.group, "scope": scope, "names": names, "versions": versions}
        document = {"metadata": {"name": f"{kind.plural}.{kind.group}"}, "spec": spec}
        body = {"apiVersion": CRD.api_version(), "kind": CRD.kind, **document}
        made = await bare.http.patch(CRD, f"{kind.plural}.{kind.group}", body, type="apply", manager="m")
        assert conditions(made)["Established"][0] == "True", made["status"]
    assert await bare.http.call("GET", "/apis") == groups
