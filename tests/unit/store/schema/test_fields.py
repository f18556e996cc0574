"""Pruning, defaulting, strictness and value checks, on built-in kinds and on structural schemas of CRDs."""

from __future__ import annotations

from typing import Any

import pytest

from plait.resources import kinds
from plait.store.schema.fields import check, duplicate_keys, normalize
from plait.store.schema.schemas import Schemas

ALL = Schemas()


def deployment(**spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    base = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {**base, **spec}}


def messages(document: dict[str, Any], schema: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    return [str(error) for error in check(document, schema, old=old)]


DEPLOYMENT = ALL.get(kinds.DEPLOYMENT, "v1") or {}


def test_unknown_fields_are_pruned_and_in_strict_named_by_path() -> None:
    document = deployment(sea=1)
    document["spec"]["template"]["spec"]["containers"][0]["imge"] = "x"
    lax, none = normalize(document, DEPLOYMENT, strict=False)
    strict, errors = normalize(document, DEPLOYMENT, strict=True)
    assert none == []
    assert lax == strict
    assert "sea" not in lax["spec"]
    assert "imge" not in lax["spec"]["template"]["spec"]["containers"][0]
    assert [error.message for error in errors] == [
        'unknown field "spec.template.spec.containers[0].imge"',
        'unknown field "spec.sea"',
    ]
    assert "sea" in document["spec"], "the argument was changed"


def test_defaults_are_those_of_the_api_server() -> None:
    spec = normalize(deployment(), DEPLOYMENT, strict=True)[0]["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}
    assert spec["template"]["spec"]["restartPolicy"] == "Always"
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 30


def test_zero_is_a_value_and_null_is_absence() -> None:
    document = deployment(replicas=0, paused=None)
    document["metadata"]["creationTimestamp"] = None
    out, errors = normalize(document, DEPLOYMENT, strict=True)
    assert errors == []
    assert out["spec"]["replicas"] == 0
    assert "paused" not in out["spec"]
    assert "creationTimestamp" not in out["metadata"]


def test_defaults_are_not_shared_between_documents() -> None:
    first = normalize(deployment(), DEPLOYMENT, strict=False)[0]
    first["spec"]["strategy"]["type"] = "Recreate"
    assert normalize(deployment(), DEPLOYMENT, strict=False)[0]["spec"]["strategy"]["type"] == "RollingUpdate"


def test_a_good_deployment_has_no_errors() -> None:
    assert messages(normalize(deployment(), DEPLOYMENT, strict=True)[0], DEPLOYMENT) == []


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"image": "i"}, "name: Required value"),
        (
            {"name": "c", "ports": [{"containerPort": 0}]},
            "ports[0].containerPort: Invalid value: 0: should be greater than or equal to 1",
        ),
        ({"name": "c", "ports": [{"containerPort": "x"}]}, 'must be of type integer: "string"'),
        ({"name": "c", "imagePullPolicy": "Sometimes"}, 'supported values: "Always", "IfNotPresent", "Never"'),
        ({"name": "c", "resources": {"limits": {"cpu": "two"}}}, "resources.limits.cpu: Invalid value"),
        ({"name": "c", "command": "ls"}, 'command: Invalid value: "string": must be of type array: "string"'),
    ],
)
def test_a_wrong_container_field_is_named(container: dict[str, Any], message: str) -> None:
    document = deployment()
    document["spec"]["template"]["spec"]["containers"] = [container]
    found = messages(document, DEPLOYMENT)
    assert len(found) == 1, found
    assert found[0].startswith("spec.template.spec.containers[0].")
    assert message in found[0]


def test_repeated_service_ports_are_refused() -> None:
    ports = [{"port": 80, "protocol": "TCP"}, {"port": 80, "protocol": "TCP"}]
    found = messages({"spec": {"ports": ports}}, ALL.get(kinds.SERVICE, "v1") or {})
    assert found == ['spec.ports[1]: Duplicate value: {"port": 80, "protocol": "TCP"}']


def test_an_empty_enum_written_by_go_is_absence() -> None:
    document = {"spec": {"ports": [{"port": 80, "protocol": ""}], "type": ""}}
    out = normalize(document, ALL.get(kinds.SERVICE, "v1") or {}, strict=True)[0]
    assert out["spec"]["type"] == "ClusterIP"
    assert out["spec"]["ports"][0]["protocol"] == "TCP"


WIDGET = {
    "type": "object",
    "properties": {
        "size": {"type": "integer", "minimum": 1, "default": 3},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "names": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}, "x-kubernetes-list-type": "set"},
        "maybe": {"type": "string", "nullable": True},
        "either": {"x-kubernetes-int-or-string": True},
        "nest": {"type": "object", "properties": {"deep": {"type": "string", "default": "d"}}, "default": {}},
    },
    "x-kubernetes-validations": [
        {"rule": "!has(self.size) || self.size < 10", "message": "size must be under ten"},
        {"rule": "!has(self.size) || self.size >= oldSelf.size", "message": "size must not shrink"},
    ],
}


def test_custom_schemas_default_prune_and_preserve() -> None:
    out, errors = normalize({"open": {"x": {"y": 1}}, "maybe": None, "no": 1}, WIDGET, strict=True)
    assert out == {"open": {"x": {"y": 1}}, "maybe": None, "size": 3, "nest": {"deep": "d"}}
    assert [error.path for error in errors] == ["no"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"size": 11}, "size must be under ten"),
        ({"size": 0}, "should be greater than or equal to 1"),
        ({"names": ["a", "a"]}, 'names[1]: Duplicate value: "a"'),
        ({"names": ["A"]}, "should match '^[a-z]+$'"),
        ({"names": ["a\n"]}, "should match"),
        ({"either": 1.5}, "must be of type integer,string"),
    ],
)
def test_custom_values_are_checked(document: dict[str, Any], message: str) -> None:
    found = messages(document, WIDGET)
    assert len(found) == 1, found
    assert message in found[0]


def test_rules_about_change_need_an_old_object() -> None:
    assert messages({"size": 2}, WIDGET) == []
    assert "must not shrink" in messages({"size": 2}, WIDGET, old={"size": 3})[0]
    assert messages({"size": 4}, WIDGET, old={"size": 3}) == []


def test_duplicate_keys_are_found_at_any_depth() -> None:
    raw = b'{"a":1,"spec":{"list":[{"x":1,"x":2}],"a":1},"a":2,"a":3}'
    assert sorted(duplicate_keys(raw)) == ["a", "spec.list[0].x"]
    assert duplicate_keys(b'{"a":{"b":1},"c":{"b":1}}') == []


def test_every_kind_accepts_an_object_with_only_metadata_shape() -> None:
    for kind in kinds.ALL:
        for version in kind.versions:
            schema = ALL.get(kind, version)
            assert schema is not None, kind
            document = {"apiVersion": kind.api_version(version), "kind": kind.kind, "metadata": {"name": "x", "zz": 1}}
            assert [e.path for e in normalize(document, schema, strict=True)[1]] == ["metadata.zz"], kind
