"""Parameters: what can be read, and why not."""

from __future__ import annotations

from typing import Any

import pytest

from kit import gateways as g
from plait.deploy.overlays import Refused, config_map, defaults, overlays, stacked
from plait.deploy.plans import Plan


def plan(kind: str = "ConfigMap", group: str = "") -> Plan:
    reference = {"group": group, "kind": kind, "name": "params"}
    return Plan(g.typed(g.waypoint(spec={"infrastructure": {"parametersRef": reference}})), "waypoint")


def data(**found: str) -> dict[str, Any]:
    return {"data": found}


def test_without_a_reference_nothing_is_changed() -> None:
    bare = Plan(g.typed(g.waypoint()), "waypoint")
    assert config_map(bare) is None
    assert overlays(bare, None) == {}


def test_each_key_is_a_mapping_in_yaml() -> None:
    assert config_map(plan()) == ("shop", "params")
    found = overlays(plan(), data(deployment="spec:\n  replicas: 2\n", service="spec: {type: NodePort}"))
    assert found == {"deployment": {"spec": {"replicas": 2}}, "service": {"spec": {"type": "NodePort"}}}


@pytest.mark.parametrize(
    ("of", "found", "why"),
    [
        (plan(), None, "does not exist; create it"),
        (plan("Secret"), data(), "is no ConfigMap"),
        (plan(), data(deploy="{}"), "unknown key deploy"),
        (plan(), data(deployment="a: [1"), "key deployment"),
        (plan(), data(deployment="[1]"), "key deployment"),
        (plan(), data(deployment=""), "0 documents"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place_and_the_way_out(
    of: Plan, found: dict[str, Any] | None, why: str
) -> None:
    refused = overlays(of, found)
    assert isinstance(refused, Refused)
    assert "shop/params" in refused.reason
    assert why in refused.reason


def of_class(name: str, class_name: str = "istio-waypoint", **found: str) -> dict[str, Any]:
    labels = {"gateway.istio.io/defaults-for-class": class_name}
    return {"metadata": {"name": name, "namespace": "istio-system", "labels": labels}, "data": found}


def test_a_class_has_defaults_of_its_own() -> None:
    other = of_class("other", "istio", service="spec: {type: LoadBalancer}")
    unlabelled = {"metadata": {"name": "plain", "namespace": "istio-system"}, "data": {"deploy": ""}}
    given = of_class("usual", service="spec: {type: NodePort}")
    assert defaults(plan(), (other, unlabelled, given)) == {"service": {"spec": {"type": "NodePort"}}}
    assert defaults(plan(), (other, unlabelled)) == {}


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ((of_class("a"), of_class("b")), "ConfigMaps a, b are all labelled"),
        ((of_class("a", operation="placement: managed"),), "unknown key operation"),
        ((of_class("a", service="["),), "istio-system/a, key service"),
    ],
)
def test_defaults_that_cannot_be_used_are_refused(found: tuple[dict[str, Any], ...], why: str) -> None:
    refused = defaults(plan(), found)
    assert isinstance(refused, Refused)
    assert why in refused.reason


def test_layers_keep_their_order() -> None:
    assert stacked({"a": {"x": 1}}, {}, {"a": {"x": 2}, "b": {}}) == {"a": ({"x": 1}, {"x": 2}), "b": ({},)}
