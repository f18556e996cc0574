"""AdmissionReview JSON in and out."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from plait.inject import review
from plait.inject.injector import Config, inject
from plait.store.patch import json_patch

CONFIG = Config("/proxies")
ON = {"istio-injection": "enabled"}
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "app", "image": "x"}], "volumes": [{"name": "a~/b", "emptyDir": {}}]},
}


def asked(**pod: Any) -> dict[str, Any]:
    request = {"uid": "u-1", "namespace": "shop", "operation": "CREATE", "object": {**POD, **pod}}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def answered(labels: dict[str, str], **pod: Any) -> dict[str, Any]:
    found = review.answer(review.request(asked(**pod)), labels, CONFIG)
    assert (found["apiVersion"], found["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert found["response"]["uid"] == "u-1"
    response: dict[str, Any] = found["response"]
    return response


def test_the_patch_makes_the_injected_pod() -> None:
    response = answered(ON)
    assert (response["allowed"], response["patchType"]) == (True, "JSONPatch")
    operations = json.loads(base64.b64decode(response["patch"]))
    assert json_patch(POD, operations) == inject(POD, "shop", ON, CONFIG).document
    assert all(each["op"] in ("add", "replace") for each in operations)


def test_a_pod_that_is_left_alone_is_allowed_without_a_patch() -> None:
    assert answered({}) == {"uid": "u-1", "allowed": True}


def test_a_refusal_names_field_and_way_out() -> None:
    notes = {"traffic.sidecar.istio.io/excludeInboundPorts": "x"}
    response = answered(ON, metadata={**POD["metadata"], "annotations": notes})
    assert not response["allowed"] and response["status"]["code"] == 422
    assert "excludeInboundPorts" in response["status"]["message"] and "1 to 65535" in response["status"]["message"]


def test_both_modes_are_a_warning_that_the_client_shows() -> None:
    response = answered({**ON, "istio.io/dataplane-mode": "ambient"})
    assert response["allowed"] and "patch" in response and "both modes" in response["warnings"][0]


@pytest.mark.parametrize("pod", [{"kind": "Service"}, {"spec": 7}, {"metadata": {"labels": 3}}])
def test_whatever_the_object_is_the_answer_is_a_review(pod: dict[str, Any]) -> None:
    assert not answered(ON, **pod)["allowed"]


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"kind": "AdmissionReview"}, {**asked(), "apiVersion": "admission.k8s.io/v1beta1"},
     {**asked(), "request": {}}],
)  # fmt: skip
def test_what_is_no_review_says_what_is_missing(document: Any) -> None:
    with pytest.raises(review.BadReview, match=r"want|no request"):
        review.request(document)
