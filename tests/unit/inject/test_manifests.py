"""Where pods stand in documents of every kind that makes them."""

from __future__ import annotations

from typing import Any

import pytest

from plait.inject.injector import Config
from plait.inject.manifests import TEMPLATES, injected

CONFIG = Config("/proxies")


def holding(kind: str, template: dict[str, Any]) -> dict[str, Any]:
    body: Any = template
    for name in reversed(TEMPLATES[kind]):
        body = {name: body}
    return {**body, "kind": kind, "metadata": {**body.get("metadata", {}), "name": "x", "namespace": "shop"}}


def inside(document: dict[str, Any]) -> dict[str, Any]:
    for name in TEMPLATES[document["kind"]]:
        document = document[name]
    return document


@pytest.mark.parametrize("kind", sorted(TEMPLATES))
def test_every_kind_that_makes_pods(kind: str) -> None:
    written = holding(kind, {"metadata": {}, "spec": {"containers": [{"name": "app", "image": "x"}]}})
    found = injected([written], CONFIG)
    assert [each["name"] for each in inside(found.documents[0])["spec"]["initContainers"]] == ["istio-proxy"]
    assert "generateName" not in inside(found.documents[0])["metadata"]
    assert inside(written)["metadata"].get("labels") is None, "what was handed over stays as it was"


@pytest.mark.parametrize("broken", [{"kind": "Deployment"}, {"kind": "Job", "spec": []}, {"kind": 7}, {"spec": {}}])
def test_what_makes_no_pod_stays(broken: dict[str, Any]) -> None:
    assert injected([broken], CONFIG).documents == (broken,)
