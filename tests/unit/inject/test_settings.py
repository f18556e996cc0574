"""The injector's configuration: read, judged, and what it makes of pods."""

from __future__ import annotations

from typing import Any

import pytest

from plait.inject.injector import Config, Outcome, inject
from plait.inject.settings import Settings, read
from plait.inject.templates import BadTemplate

NEVER = "neverInjectSelector: [{matchLabels: {kind: batch}}, {matchExpressions: [{key: debug, operator: Exists}]}]"
ON, YES, NO = {"istio-injection": "enabled"}, {"sidecar.istio.io/inject": "true"}, {"sidecar.istio.io/inject": "false"}


def outcome(text: str, labels: dict[str, str]) -> Outcome:
    pod: dict[str, Any] = {"metadata": {"name": "p", "labels": labels}, "spec": {"containers": [{"name": "a"}]}}
    return inject(pod, "shop", ON, Config("/proxies", settings=read(text)))


@pytest.mark.parametrize("text", ["", "{}", "{policy: enabled, defaultTemplates: [sidecar], alwaysInjectSelector: []}"])
def test_nothing_said(text: str) -> None:
    assert read(text) == Settings()


@pytest.mark.parametrize(
    ("text", "labels", "injected"),
    [
        (NEVER, {}, True),
        (NEVER, {"kind": "batch"}, False),
        (NEVER, {"debug": ""}, False),
        (NEVER, {"kind": "batch", **YES}, True),  # what a pod says itself wins
        ("neverInjectSelector: [{}]", {"kind": "batch"}, True),  # an empty selector chooses none
        ("policy: disabled", {}, False),
        ("policy: disabled", YES, True),
        ("{policy: disabled, alwaysInjectSelector: [{matchLabels: {a: b}}]}", {"a": "b"}, True),
        ("{policy: disabled, alwaysInjectSelector: [{matchLabels: {a: b}}]}", {"a": "b", **NO}, False),
        (f"{{alwaysInjectSelector: [{{matchLabels: {{kind: batch}}}}], {NEVER}}}", {"kind": "batch"}, False),
    ],
)
def test_who_gets_one(text: str, labels: dict[str, str], injected: bool) -> None:
    found = outcome(text, labels)
    assert found.injected is injected and not found.problems
    assert injected or "injector's configuration" in found.reason or labels.items() >= NO.items()


def test_annotations_for_every_injected_pod() -> None:
    text = "injectedAnnotations: {seen: 'yes', prometheus.io/port: '1'}"
    notes = outcome(text, {}).document["metadata"]["annotations"]
    assert (notes["seen"], notes["prometheus.io/port"]) == ("yes", "1")
    assert "annotations" not in outcome(text, NO).document["metadata"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[a]", "want a mapping"),
        ("policy: off-ish", "config.policy: 'off-ish'"),
        ("aliases: {both: [sidecar, own]}", "config.aliases: not supported"),
        ("defaultTemplates: [own]", "config.defaultTemplates: not supported"),
        ("neverInjectSelector: {matchLabels: {a: b}}", "config.neverInjectSelector: want a list"),
        ("neverInjectSelector: [{matchLabel: {a: b}}]", "config.neverInjectSelector: want a list"),
        ("injectedAnnotations: {a: 1}", "config.injectedAnnotations: want a mapping of strings"),
    ],
)
def test_what_cannot_be(text: str, words: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        read(text)
    assert words in str(caught.value)
