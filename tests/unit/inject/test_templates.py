"""Templates of the mesh's own: what they may say, and what of a pod they change."""

from __future__ import annotations

from typing import Any

import pytest

from plait.inject.injector import Config, inject
from plait.inject.settings import Settings
from plait.inject.templates import BadTemplate, laid, read

TEXT = """
templates:
  greeting: |
    metadata: {annotations: {greeted: "true", kept: theirs}}
    spec:
      containers:
      - name: istio-proxy
        env: [{name: GREETING, value: hello}]
        readinessProbe: {periodSeconds: 7}
      - {name: app, image: theirs, env: [{name: A, value: theirs}, {name: B, value: theirs}]}
      volumes: [{name: extra, emptyDir: {}}]
"""


def test_a_template_changes_the_proxy_adds_what_is_missing_and_leaves_the_application() -> None:
    proxy = {"name": "istio-proxy", "env": [{"name": "POD_UID"}], "readinessProbe": {"periodSeconds": 1, "port": 1}}
    app = {"name": "app", "image": "mine", "env": [{"name": "A", "value": "mine"}]}
    pod = {
        "metadata": {"annotations": {"kept": "mine"}},
        "spec": {"containers": [proxy, app], "volumes": [{"name": "v"}]},
    }
    assert laid(read(TEXT)["greeting"], pod) == {
        "metadata": {"annotations": {"kept": "mine", "greeted": "true"}},
        "spec": {
            "containers": [
                {
                    "name": "istio-proxy",
                    "env": [{"name": "POD_UID"}, {"name": "GREETING", "value": "hello"}],
                    "readinessProbe": {"periodSeconds": 7, "port": 1},
                },
                {
                    "name": "app",
                    "image": "mine",
                    "env": [{"name": "A", "value": "mine"}, {"name": "B", "value": "theirs"}],
                },
            ],
            "volumes": [{"name": "v"}, {"name": "extra", "emptyDir": {}}],
        },
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("templates: {a: '{{ .Spec }}'}", "config.templates.a: Go's template language is not supported"),
        ("templates: {a: 'kind: Pod'}", "config.templates.a: want a pod"),
        ("templates: {a: 'spec: ['}", "config.templates.a: not YAML"),
        ("templates: [a]", "config.templates: want a mapping"),
        ("templates: [", "config: not YAML"),
    ],
)
def test_what_is_no_template_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        read(text)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("text", ["", "policy: enabled", "templates: {}"])
def test_no_templates(text: str) -> None:
    assert read(text) == {}


def test_what_is_said_of_the_proxy_goes_where_the_pod_has_it() -> None:
    proxy = {"name": "istio-proxy", "env": [{"name": "A"}]}
    pod = {"spec": {"initContainers": [{"name": "istio-proxy"}], "containers": [{"name": "app"}]}}
    assert laid({"spec": {"containers": [proxy]}}, pod)["spec"] == {
        "initContainers": [proxy],
        "containers": [{"name": "app"}],
    }


def injected(names: str, config: Config) -> Any:
    notes = {"inject.istio.io/templates": names}
    pod = {"metadata": {"name": "p", "annotations": notes}, "spec": {"containers": [{"name": "app", "image": "x"}]}}
    return inject(pod, "shop", {"istio-injection": "enabled"}, config)


def test_a_pod_names_the_templates_it_wants() -> None:
    template = {"spec": {"initContainers": [{"name": "istio-proxy", "env": [{"name": "A", "value": "b"}]}]}}
    config = Config("/proxies", settings=Settings({"own": template}))
    (proxy,) = injected("sidecar,own", config).document["spec"]["initContainers"]
    assert {"name": "A", "value": "b"} in proxy["env"] and proxy["restartPolicy"] == "Always"
    refused = injected("sidecar,other", config)
    assert refused.refused and refused.problems[0].message == 'no template "other"; use sidecar or gateway or own'
    assert injected("own", config).refused, "a template alone makes no proxy"
