"""Defaults that depend on other fields, and names that a CRD may not take."""

from __future__ import annotations

import copy
from ipaddress import IPv4Network
from typing import Any

import pytest

from kit.widgets import definition
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import Document
from plait.store.schema import crds
from plait.store.state import State
from plait.store.strategies import pods
from plait.store.strategies import table as strategies
from plait.store.strategies.table import Context


def context(*documents: tuple[Kind, Document]) -> Context:
    state = State()
    for kind, document in documents:
        state.apply(state.put((kind.group, kind.plural), document))
    return Context(state, (IPv4Network("10.0.0.0/24"),))


def defaulted(kind: Kind, **fields: Any) -> Document:
    new: Document = {"metadata": {"name": "x", "namespace": "default"}, **copy.deepcopy(fields)}
    strategies.default(context(), kind, new, None)
    return new


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("web", "Always"),
        ("web:latest", "Always"),
        ("web:1.0", "IfNotPresent"),
        ("registry:5000/web", "Always"),
        ("registry:5000/a/web:v2", "IfNotPresent"),
        ("web@sha256:aa", "IfNotPresent"),
        ("web:latest@sha256:aa", "Always"),
    ],
)
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    spec: Document = {
        "containers": [{"image": image}],
        "initContainers": [{"image": image, "imagePullPolicy": "Never"}],
    }
    pods.complete(spec)
    assert spec["containers"][0]["imagePullPolicy"] == policy
    assert spec["initContainers"][0]["imagePullPolicy"] == "Never"


def test_a_volume_without_a_source_is_an_empty_directory_and_both_account_fields_agree() -> None:
    spec: Document = {"volumes": [{"name": "a"}, {"name": "b", "secret": {}}], "serviceAccount": "robot"}
    pods.complete(spec)
    assert spec["volumes"] == [{"name": "a", "emptyDir": {}}, {"name": "b", "secret": {}}]
    assert spec["serviceAccountName"] == "robot"


@pytest.mark.parametrize("kind", [kinds.DEPLOYMENT, kinds.REPLICA_SET, kinds.DAEMON_SET, kinds.JOB])
def test_templates_get_the_defaults_of_pods(kind: Kind) -> None:
    new = defaulted(kind, spec={"template": {"spec": {"containers": [{"name": "c", "image": "web:1"}]}}})
    assert new["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize(
    ("kind", "key", "given", "expected"),
    [
        (kinds.DEPLOYMENT, "strategy", {}, {"maxSurge": "25%", "maxUnavailable": "25%"}),
        (kinds.DEPLOYMENT, "strategy", {"rollingUpdate": {"maxSurge": 2}}, {"maxSurge": 2, "maxUnavailable": "25%"}),
        (kinds.DEPLOYMENT, "strategy", {"type": "Recreate"}, None),
        (kinds.DAEMON_SET, "updateStrategy", {}, {"maxSurge": 0, "maxUnavailable": 1}),
        (kinds.DAEMON_SET, "updateStrategy", {"type": "OnDelete"}, None),
    ],
)
def test_an_empty_strategy_is_a_rolling_update(
    kind: Kind, key: str, given: Document, expected: Document | None
) -> None:
    found = defaulted(kind, spec={key: given})["spec"][key]
    assert found.get("rollingUpdate") == expected
    assert found["type"] == given.get("type", "RollingUpdate")


@pytest.mark.parametrize(
    ("given", "completions", "parallelism"),
    [
        ({}, 1, 1),
        ({"parallelism": 3}, None, 3),
        ({"completions": 4}, 4, 1),
        ({"completions": 4, "parallelism": 2}, 4, 2),
    ],
)
def test_a_job_without_numbers_completes_once(given: Document, completions: int | None, parallelism: int) -> None:
    spec = defaulted(kinds.JOB, spec=given)["spec"]
    assert (spec.get("completions"), spec["parallelism"]) == (completions, parallelism)


def test_subjects_of_bindings_get_their_group() -> None:
    subjects = [{"kind": "User", "name": "u"}, {"kind": "Group", "name": "g"}, {"kind": "ServiceAccount", "name": "s"}]
    found = defaulted(kinds.ROLE_BINDING, subjects=subjects)["subjects"]
    assert [subject.get("apiGroup") for subject in found] == ["rbac.authorization.k8s.io"] * 2 + [None]


def test_a_service_is_completed_by_its_type() -> None:
    plain = defaulted(kinds.SERVICE, spec={"ports": [{"port": 80}, {"port": 90, "targetPort": "web"}]})["spec"]
    assert [port["targetPort"] for port in plain["ports"]] == [80, "web"]
    assert (plain["sessionAffinity"], plain["internalTrafficPolicy"]) == ("None", "Cluster")
    assert (plain["ipFamilies"], plain["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    assert "externalTrafficPolicy" not in plain
    sticky = defaulted(kinds.SERVICE, spec={"type": "NodePort", "sessionAffinity": "ClientIP"})["spec"]
    assert sticky["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    assert sticky["externalTrafficPolicy"] == "Cluster"
    assert "ipFamilies" not in defaulted(kinds.SERVICE, spec={"type": "ExternalName", "externalName": "a.b"})["spec"]


def test_defaulting_twice_changes_nothing_more() -> None:
    template = {"spec": {"containers": [{"name": "c", "image": "web"}], "volumes": [{"name": "v"}]}}
    once = defaulted(kinds.DEPLOYMENT, spec={"template": template, "strategy": {}})
    twice = copy.deepcopy(once)
    strategies.default(context(), kinds.DEPLOYMENT, twice, copy.deepcopy(once))
    assert twice == once


def test_a_crd_may_take_no_name_of_another_established_crd() -> None:
    first = definition()
    first["status"] = crds.accepted(first, now="t")
    for names, holder in (
        ({"kind": "Widget", "plural": "gadgets"}, "widgets.shop.example"),
        ({"kind": "Gadget", "plural": "gadgets", "shortNames": ["wd"]}, "widgets.shop.example"),
        ({"kind": "Gadget", "plural": "gadgets", "singular": "widget"}, "widgets.shop.example"),
        ({"kind": "WidgetList", "plural": "gadgets"}, "widgets.shop.example"),
        ({"kind": "Gadget", "plural": "gadgets"}, ""),
    ):
        second = definition()
        second["metadata"]["name"] = "gadgets.shop.example"
        second["spec"]["names"] = names
        state = context((kinds.CRD, first)).state
        assert strategies.taken(state, second) == holder
        assert strategies.taken(state, second, without="widgets.shop.example") == ""
        second["spec"]["group"] = "other.example"
        assert strategies.taken(state, second) == ""
