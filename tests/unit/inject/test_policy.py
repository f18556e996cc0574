"""Who gets a proxy: labels of namespace and pod, in Istio's order of precedence."""

from __future__ import annotations

from typing import Any

import pytest

from plait.inject.policy import verdict

ON, OFF, AMBIENT = (
    {"istio-injection": "enabled"},
    {"istio-injection": "disabled"},
    {"istio.io/dataplane-mode": "ambient"},
)
YES, NO = {"sidecar.istio.io/inject": "true"}, {"sidecar.istio.io/inject": "false"}
OURS, THEIRS = {"istio.io/rev": "default"}, {"istio.io/rev": "canary"}
GATEWAY = {"inject.istio.io/templates": "gateway"}


def pod(labels: dict[str, str], annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"labels": labels, "annotations": annotations or {}}, "spec": spec}


@pytest.mark.parametrize(
    ("namespace", "labels", "annotations", "injected"),
    [
        ({}, {}, {}, False),
        (ON, {}, {}, True),
        (ON, NO, {}, False),
        (ON, {}, NO, False),
        (ON, NO, YES, False),  # the label wins over the annotation
        (OFF, YES, {}, False),  # either label may forbid
        ({}, YES, {}, True),
        ({}, {}, YES, True),
        (OURS, {}, {}, True),
        (OURS, NO, {}, False),
        (THEIRS, {}, {}, False),
        (THEIRS, YES, {}, False),
        ({**THEIRS, **ON}, {}, {}, True),  # istio-injection wins over the revision
        ({}, OURS, {}, True),
        ({}, THEIRS, {}, False),
        ({}, {**YES, **THEIRS}, {}, False),
        (ON, {"sidecar.istio.io/inject": "Yes"}, {}, True),
    ],
)
def test_labels_decide(
    namespace: dict[str, str], labels: dict[str, str], annotations: dict[str, str], injected: bool
) -> None:
    found = verdict(pod(labels, annotations), "shop", namespace)
    assert (found.inject, found.refused, found.warning) == (injected, False, ""), found.reason


def test_who_has_a_proxy_gets_no_second_one_and_a_copied_status_is_none() -> None:
    status = {"sidecar.istio.io/status": "{}"}
    there = [{"name": "istio-proxy", "image": "plait/proxyv2"}]
    assert verdict(pod({}, status, initContainers=there), "shop", ON).reason == "it has a proxy already"
    assert not verdict(pod({}, status, containers=there), "shop", ON).inject
    assert verdict(pod({}, status, containers=[{"name": "app", "image": "x"}]), "shop", ON).inject
    assert verdict(pod({}, status, containers=[{"name": "istio-proxy", "image": "auto"}]), "shop", ON).inject


@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"])
def test_some_namespaces_never_get_one(namespace: str) -> None:
    assert not verdict(pod(YES), namespace, ON).inject


def test_in_the_root_namespace_a_pod_asks_for_itself() -> None:
    assert not verdict(pod({}), "istio-system", ON).inject
    assert verdict(pod(YES), "istio-system", ON).inject


def test_any_word_of_the_namespace_but_enabled_forbids() -> None:
    found = verdict(pod(YES), "shop", {"istio-injection": "false"})
    assert not found.inject and "istio-injection=false" in found.reason


def test_a_gateway_may_live_in_the_root_namespace() -> None:
    assert verdict(pod(YES, GATEWAY), "istio-system", {}).inject
    assert not verdict(pod(YES, GATEWAY), "kube-system", {}).inject


def test_the_nodes_network_is_never_captured() -> None:
    assert "hostNetwork" in verdict(pod(YES, hostNetwork=True), "shop", ON).reason


def test_a_word_that_is_neither_yes_nor_no_is_refused_where_it_stands() -> None:
    found = verdict(pod({"sidecar.istio.io/inject": "maybe"}), "shop", ON)
    assert found.refused and found.path == "metadata.labels[sidecar.istio.io/inject]"
    found = verdict(pod({}, {"sidecar.istio.io/inject": "maybe"}), "shop", ON)
    assert found.refused and found.path == "metadata.annotations[sidecar.istio.io/inject]"


def test_the_sidecar_wins_over_ambient_mode_and_somebody_hears_which_label_to_remove() -> None:
    both = verdict(pod({}), "shop", {**ON, **AMBIENT})
    assert both.inject and "remove its injection label" in both.warning
    own = verdict(pod(AMBIENT), "shop", ON)
    assert own.inject and 'sidecar.istio.io/inject: "false"' in own.warning


def test_a_sidecar_in_an_ambient_namespace_is_how_modes_are_mixed() -> None:
    found = verdict(pod(YES), "shop", AMBIENT)
    assert found.inject and not found.warning
