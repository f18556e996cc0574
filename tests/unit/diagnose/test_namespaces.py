from __future__ import annotations

from kit import documents as d
from kit.evidence import AMBIENT, INJECTED, namespace, said
from plait.diagnose.namespaces import at_odds, outside


def test_a_namespace_of_which_nobody_said_anything_is_told() -> None:
    assert said(outside, namespace("shop")) == [("IST0102", "shop", "metadata.labels")]


def test_a_namespace_in_the_mesh_or_left_out_on_purpose_is_not() -> None:
    refused = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "a", "labels": {"istio-injection": "disabled"}},
    }
    assert said(outside, AMBIENT, refused) == []
    assert said(outside, INJECTED, namespace("kube-system"), namespace("istio-system")) == []


def test_an_injector_that_takes_every_namespace_is_heard() -> None:
    values = '{"sidecarInjectorWebhook": {"enableNamespacesByDefault": true}}'
    config = {**d.document("v1", "ConfigMap", "istio-sidecar-injector", "istio-system"), "data": {"values": values}}
    assert said(outside, namespace("shop"), config) == [("IST0148", "shop", "metadata.labels")]


def test_labels_at_odds() -> None:
    both = namespace("shop", istio_injection="enabled")
    both["metadata"]["labels"]["istio.io/rev"] = "canary"
    assert said(at_odds, both) == [("IST0123", "shop", "metadata.labels")]
    modes = namespace("shop", istio_injection="enabled")
    modes["metadata"]["labels"]["istio.io/dataplane-mode"] = "ambient"
    assert said(at_odds, modes) == [("IST0123", "shop", "metadata.labels[istio.io/dataplane-mode]")]


def test_one_word_is_no_contradiction() -> None:
    assert said(at_odds, INJECTED) == said(at_odds, AMBIENT) == []
    refused = namespace("shop", istio_injection="disabled")
    refused["metadata"]["labels"]["istio.io/dataplane-mode"] = "ambient"
    assert said(at_odds, refused) == []
