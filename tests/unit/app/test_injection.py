"""What the injector takes from the mesh's ConfigMaps."""

from __future__ import annotations

from plait.app.injection import configured
from plait.inject.injector import Config
from plait.resources.kubernetes import ConfigMap
from plait.resources.meta import ObjectMeta
from plait.resources.objects import Objects

CONFIG = Config("/proxies", revision="canary")


def holding(name: str, key: str, text: str, namespace: str = "istio-system") -> Objects:
    return Objects().with_(ConfigMap(meta=ObjectMeta(name=name, namespace=namespace), data={key: text}))


def test_nothing_said_is_the_default() -> None:
    assert configured(Objects(), "istio-system", CONFIG) == CONFIG


def test_defaults_of_proxies_and_templates_of_the_root_namespace() -> None:
    said = configured(holding("istio", "mesh", "defaultConfig: {concurrency: 3}"), "istio-system", CONFIG)
    assert (said.defaults.concurrency, said.revision) == (3, "canary")
    text = "templates: {own: 'spec: {priorityClassName: high}'}"
    said = configured(holding("istio-sidecar-injector", "config", text), "istio-system", CONFIG)
    assert said.settings.templates == {"own": {"spec": {"priorityClassName": "high"}}}
    elsewhere = holding("istio-sidecar-injector", "config", text, "shop")
    assert configured(elsewhere, "istio-system", CONFIG).settings.templates == {}


def test_templates_that_cannot_be_read_are_none() -> None:
    broken = holding("istio-sidecar-injector", "config", "templates: {own: '{{ .x }}'}")
    assert configured(broken, "istio-system", CONFIG).settings.templates == {}
