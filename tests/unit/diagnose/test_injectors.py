from __future__ import annotations

import json
from typing import Any

from kit import documents as d
from kit.evidence import evidence
from plait.diagnose import injectors


def config(name: str, values: Any) -> d.Document:
    text = values if isinstance(values, str) else json.dumps(values)
    return {**d.document("v1", "ConfigMap", name, "istio-system"), "data": {"values": text}}


def test_values_are_found_by_revision_and_nonsense_is_none() -> None:
    world = evidence(
        config("istio-sidecar-injector", {"a": 1}),
        config("istio-sidecar-injector-canary", {"b": 2}),
        config("istio-sidecar-injector-bad", "{"),
        config("istio", {"c": 3}),
    )
    assert injectors.values(world) == {"default": {"a": 1}, "canary": {"b": 2}}


def test_an_image_is_whole_or_of_parts() -> None:
    parts = {"hub": "docker.io/istio", "tag": "1.2.3"}
    assert injectors.image({"global": {**parts, "proxy": {"image": "proxyv2"}}}) == "docker.io/istio/proxyv2:1.2.3"
    assert injectors.image({"global": {**parts, "proxy": {"image": "own/proxy:4"}}}) == "own/proxy:4"
    assert injectors.image({}) == ""


def test_only_true_injects_everywhere() -> None:
    assert injectors.everywhere({"sidecarInjectorWebhook": {"enableNamespacesByDefault": True}})
    assert not injectors.everywhere({"sidecarInjectorWebhook": {"enableNamespacesByDefault": False}})
    assert not injectors.everywhere({})
