from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit.evidence import codes, said
from plait.diagnose.webhooks import external_control_plane, missing_service, overlapping

GONE = {"service": {"namespace": "shop", "name": "gone"}}


def hook(
    name: str = "namespace.sidecar-injector.istio.io", client: d.Document | None = None, **rest: Any
) -> d.Document:
    return {"name": name, "clientConfig": client or {"url": "https://a.example"}, **rest}


def configuration(*hooks: d.Document, name: str = "w", kind: str = "Mutating", **labels: str) -> d.Document:
    document = d.document("admissionregistration.k8s.io/v1", f"{kind}WebhookConfiguration", name, "")
    document["metadata"]["labels"] = labels
    return {**document, "webhooks": list(hooks)}


def expressions(*found: tuple[str, str, list[str]]) -> d.Document:
    return {"matchExpressions": [{"key": key, "operator": word, "values": values} for key, word, values in found]}


def test_an_injector_that_calls_nobody_is_told() -> None:
    found = said(missing_service, configuration(hook(client=GONE)))
    assert found == [("IST0139", "w", "webhooks[0].clientConfig.service")]
    revised = configuration(hook("x.example", GONE), **{"istio.io/rev": "canary"})
    assert codes(missing_service, revised) == ["IST0139"], "of a revision, whatever its name"


def test_others_those_outside_and_those_that_call_a_service_are_not() -> None:
    there = {"service": {"namespace": "shop", "name": "web"}}
    assert codes(missing_service, d.service("web", "10.96.0.1"), configuration(hook(client=there))) == []
    assert codes(missing_service, configuration(hook())) == []
    assert codes(missing_service, configuration(hook("x.example.com", GONE))) == [], "not an injector"
    assert codes(missing_service, configuration(hook(client=GONE), kind="Validating")) == []


def test_two_injectors_for_the_same_pods_are_told() -> None:
    enabled = {"namespaceSelector": {"matchLabels": {"istio-injection": "enabled"}}}
    pair = configuration(hook(**enabled)), configuration(hook(**enabled), name="other")
    assert said(overlapping, *pair) == [("IST0139", "w", "webhooks[0]"), ("IST0139", "other", "webhooks[0]")]
    assert codes(overlapping, pair[0]) == []
    assert codes(overlapping, configuration(hook(), hook())) == ["IST0139"] * 2, "no selector is everybody"


@pytest.mark.parametrize(
    ("word", "values", "disjoint"),
    [("NotIn", ["enabled"], True), ("DoesNotExist", [], True), ("In", ["disabled"], True), ("Exists", [], False)],
)
def test_selectors_are_read_as_the_api_server_does(word: str, values: list[str], disjoint: bool) -> None:
    first = hook(namespaceSelector={"matchLabels": {"istio-injection": "enabled"}})
    second = hook("o.istio.io", namespaceSelector=expressions(("istio-injection", word, values)))
    assert (codes(overlapping, configuration(first, second)) == []) == disjoint


def test_revisions_that_selectors_name_are_tried() -> None:
    def of(name: str) -> d.Document:
        return hook(f"{name}.istio.io", namespaceSelector=expressions(("istio.io/rev", "In", [name])))

    assert codes(overlapping, configuration(of("one"), of("two"))) == []
    assert codes(overlapping, configuration(of("one"), of("one"))) == ["IST0139"] * 2


def test_a_control_plane_outside_needs_an_address_and_better_a_name() -> None:
    blank = hook(client={"url": None})
    for kind, name in (("Mutating", "istio-sidecar-injector-far"), ("Validating", "istio-validator-far")):
        path = "webhooks[0].clientConfig"
        assert said(external_control_plane, configuration(blank, name=name, kind=kind)) == [("IST0163", name, path)]
        bare = hook(client={"url": "https://10.0.0.1:15017/inject"})
        assert said(external_control_plane, configuration(bare, name=name, kind=kind)) == [
            ("IST0164", name, f"{path}.url")
        ]
        assert codes(external_control_plane, configuration(hook(), hook(client=GONE), name=name, kind=kind)) == []
    assert codes(external_control_plane, configuration(blank, name="istiod-default-validator", kind="Validating")) == [
        "IST0163"
    ]
    assert codes(external_control_plane, configuration(blank)) == []
