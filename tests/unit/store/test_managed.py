"""Server-side apply on real kinds: ownership, conflicts, subresources, resets."""

from __future__ import annotations

from typing import Any

import pytest

from plait.resources import kinds
from plait.store.managed import ApplyConflict, apply, record_update
from plait.store.schema.schemas import Schemas

SCHEMAS = Schemas()
DEPLOYMENT = SCHEMAS.get(kinds.DEPLOYMENT, "v1") or {}
CONFIG = SCHEMAS.get(kinds.CONFIG_MAP, "v1") or {}


def config(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}, "data": data}


def put(live: Any, new: Any, manager: str, *, force: bool = False, schema: Any = CONFIG, **more: Any) -> dict[str, Any]:
    return apply(live, new, manager=manager, force=force, schema=schema, now="2026-01-01T00:00:00Z",
                 **{"api_version": "v1", **more})  # fmt: skip


def owners(document: dict[str, Any]) -> dict[str, Any]:
    return {entry["manager"]: entry["fieldsV1"] for entry in document["metadata"].get("managedFields", [])}


def test_an_applier_owns_its_keys_and_not_the_identity() -> None:
    assert owners(put(None, config(a="1"), "kubectl")) == {"kubectl": {"f:data": {"f:a": {}}}}


def test_a_conflict_names_manager_and_field() -> None:
    live = put(None, config(a="1", b="2"), "one")
    with pytest.raises(ApplyConflict) as conflict:
        put(live, config(a="9"), "two")
    assert conflict.value.causes == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one" using v1', "field": ".data.a"}
    ]
    assert conflict.value.message == 'Apply failed with 1 conflict: conflict with "one" using v1: .data.a'


def test_several_conflicts_are_grouped_by_manager() -> None:
    live = put(None, config(a="1", b="2"), "one")
    with pytest.raises(ApplyConflict, match=r'2 conflicts: conflicts with "one" using v1:\n- \.data\.a\n- \.data\.b'):
        put(live, config(a="9", b="9"), "two")


def test_force_takes_the_field_over() -> None:
    live = put(put(None, config(a="1", b="2"), "one"), config(a="9"), "two", force=True)
    assert live["data"] == {"a": "9", "b": "2"}
    assert owners(live) == {"one": {"f:data": {"f:b": {}}}, "two": {"f:data": {"f:a": {}}}}


def test_equal_values_are_shared_without_conflict() -> None:
    live = put(put(None, config(a="1"), "one"), config(a="1"), "two")
    assert set(owners(live)) == {"one", "two"}


def test_an_update_takes_fields_from_appliers() -> None:
    live = put(None, config(a="1", b="2"), "one")
    new = {**live, "data": {"a": "5", "b": "2", "c": "3"}}
    out = record_update(live, new, manager="edit", schema=CONFIG, now="2026-01-02T00:00:00Z", api_version="v1")
    assert owners(out) == {"one": {"f:data": {"f:b": {}}}, "edit": {"f:data": {"f:a": {}, "f:c": {}}}}
    with pytest.raises(ApplyConflict, match=r'"edit" using v1 at 2026-01-02T00:00:00Z: \.data\.a'):
        put(out, config(a="1", b="2"), "one")


@pytest.mark.parametrize("reset", [[], [{}]])
def test_managed_fields_can_be_reset(reset: list[Any]) -> None:
    live = put(None, config(a="1"), "one")
    new = {**live, "metadata": {**live["metadata"], "managedFields": reset}}
    out = record_update(live, new, manager="x", schema=CONFIG, now="t", api_version="v1")
    assert "managedFields" not in out["metadata"]
    later = put(out, config(a="1"), "two")
    assert set(owners(later)) == {"before-first-apply", "two"}


def test_status_and_main_entries_of_one_manager_are_apart() -> None:
    live = put(None, config(a="1"), "one")
    new = {**live, "data": {"a": "1", "b": "2"}}
    out = record_update(live, new, manager="one", schema=CONFIG, now="t", api_version="v1", subresource="status")
    entries = out["metadata"]["managedFields"]
    assert [(e["operation"], e.get("subresource")) for e in entries] == [("Apply", None), ("Update", "status")]


def deployment(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    pod = {"spec": {"containers": list(containers)}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {**spec, "template": pod}}


def test_containers_are_owned_by_name_and_ports_by_number_and_default_protocol() -> None:
    first = deployment({"name": "a", "image": "1", "ports": [{"containerPort": 80}]})
    live = put(None, first, "one", schema=DEPLOYMENT, api_version="apps/v1")
    fields = owners(live)["one"]["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"a"}']
    assert fields["f:ports"] == {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}}
    live["spec"]["template"]["spec"]["containers"][0]["ports"][0]["protocol"] = "TCP"  # defaulted by the server
    second = deployment({"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"}]})
    out = put(live, second, "two", schema=DEPLOYMENT, api_version="apps/v1")
    ports = out["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert ports == [{"containerPort": 80, "protocol": "TCP", "name": "http"}]


def test_a_container_of_two_managers_loses_only_what_one_let_go() -> None:
    live = put(None, deployment({"name": "a", "image": "1"}), "one", schema=DEPLOYMENT)
    live = put(live, deployment({"name": "a", "command": ["x"]}), "two", schema=DEPLOYMENT)
    out = put(live, deployment({"name": "b"}), "one", schema=DEPLOYMENT)
    assert out["spec"]["template"]["spec"]["containers"] == [{"name": "b"}, {"name": "a", "command": ["x"]}]


def test_unset_replicas_are_given_up_to_the_scaler() -> None:
    live = put(None, deployment({"name": "a"}, replicas=1), "one", schema=DEPLOYMENT)
    scaled = {**live, "spec": {**live["spec"], "replicas": 5}}
    live = record_update(live, scaled, manager="hpa", schema=DEPLOYMENT, now="t", api_version="v1", subresource="scale")
    out = put(live, deployment({"name": "a"}), "one", schema=DEPLOYMENT)
    assert out["spec"]["replicas"] == 5
