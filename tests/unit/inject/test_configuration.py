"""Which pods the API server shows to the injector: selectors against policy, for every combination of labels."""

from __future__ import annotations

import base64
from itertools import product
from typing import Any

import pytest

from plait.inject.configuration import configuration
from plait.inject.policy import verdict
from plait.store.selectors import of_document

HOOKS = configuration("https://10.0.0.1:15017/inject", "PEM")["webhooks"]
NAMESPACES = [
    {**injection, **revision}
    for injection in ({}, {"istio-injection": "enabled"}, {"istio-injection": "disabled"})
    for revision in ({}, {"istio.io/rev": "default"}, {"istio.io/rev": "other"})
]
PODS = [
    {**inject, **revision}
    for inject in ({}, {"sidecar.istio.io/inject": "true"}, {"sidecar.istio.io/inject": "false"})
    for revision in ({}, {"istio.io/rev": "default"}, {"istio.io/rev": "other"})
]


def shown(namespace: dict[str, str], pod: dict[str, str], name: str = "shop") -> list[str]:
    labels = {**namespace, "kubernetes.io/metadata.name": name}
    return [
        hook["name"]
        for hook in HOOKS
        if of_document(hook["namespaceSelector"])(labels) and of_document(hook["objectSelector"])(pod)
    ]


@pytest.mark.parametrize(("namespace", "pod"), list(product(NAMESPACES, PODS)))
def test_exactly_the_pods_that_get_a_proxy_are_shown_and_each_once(
    namespace: dict[str, str], pod: dict[str, str]
) -> None:
    wanted = verdict({"metadata": {"labels": pod}, "spec": {}}, "shop", namespace).inject
    assert len(shown(namespace, pod)) == int(wanted)


def test_namespaces_of_the_system_are_never_shown() -> None:
    assert shown({"istio-injection": "enabled"}, {}, "kube-system") == []


def test_a_word_that_is_no_word_is_shown_so_that_it_can_be_refused() -> None:
    assert shown({}, {"sidecar.istio.io/inject": "maybe"})


def test_who_is_shown_does_not_start_without_the_injector() -> None:
    for hook in HOOKS:
        assert (hook["failurePolicy"], hook["sideEffects"]) == ("Fail", "None")
        client: dict[str, Any] = hook["clientConfig"]
        assert client["url"].endswith("/inject") and base64.b64decode(client["caBundle"]) == b"PEM"
