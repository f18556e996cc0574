"""What a container's environment is made of, and what is said when a part of it is missing."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from plait.local.pod import environment
from plait.local.pod.environment import ConfigError, Facts

FACTS = Facts(("10.64.1.2",), ("10.64.255.11",), "node-1", cpus=2, memory=1024)


def pod(**container: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "u1", "labels": {"app": "web", "tier": "x"}},
        "spec": {"containers": [{"name": "main", **container}], "serviceAccountName": "sa"},
    }


def composed(facts: Facts = FACTS, **container: Any) -> dict[str, str]:
    document = pod(**container)
    return environment.compose(document["spec"]["containers"][0], document, facts, {"A": "image"}, {"S": "service"})


def test_variables_refer_to_earlier_ones_and_a_doubled_dollar_is_literal() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(NOPE)-$$(A)"}]
    assert composed(env=env)["B"] == "1-$(NOPE)-$(A)"


def test_the_downward_api_gives_fields_of_pod_and_node() -> None:
    paths = {
        "metadata.name": "web-1",
        "metadata.namespace": "shop",
        "metadata.uid": "u1",
        "metadata.labels['app']": "web",
        "metadata.labels": 'app="web"\ntier="x"',
        "metadata.annotations['none']": "",
        "spec.nodeName": "node-1",
        "spec.serviceAccountName": "sa",
        "status.podIP": "10.64.1.2",
        "status.hostIP": "10.64.255.11",
    }
    for path, value in paths.items():
        assert environment.downward(path, pod(), FACTS) == value, path
    with pytest.raises(ConfigError, match=r"spec\.nope"):
        environment.downward("spec.nope", pod(), FACTS)


def test_config_maps_and_secrets_are_read_and_a_missing_one_is_named() -> None:
    objects = {
        ("ConfigMap", "c"): {"data": {"k": "v"}},
        ("Secret", "s"): {"data": {"p": base64.b64encode(b"hush").decode()}},
        ("ConfigMap", "gone"): None,
    }
    facts = Facts((), (), "n", objects=objects)
    env = [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "p"}}}]
    result = composed(facts, env=env, envFrom=[{"prefix": "X_", "configMapRef": {"name": "c"}}])
    assert (result["X_k"], result["P"]) == ("v", "hush")
    with pytest.raises(ConfigError, match='configmap "gone" not found'):
        composed(facts, envFrom=[{"configMapRef": {"name": "gone"}}])
    with pytest.raises(ConfigError, match='secret "s" has no key "q"'):
        composed(facts, env=[{"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "q"}}}])
    optional = {"name": "gone", "key": "k", "optional": True}
    assert "P" not in composed(facts, env=[{"name": "P", "valueFrom": {"configMapKeyRef": optional}}])


def test_resource_fields_round_up_and_fall_back_to_the_node() -> None:
    document = pod(resources={"limits": {"cpu": "250m", "memory": "64Mi"}})
    container = document["spec"]["containers"][0]

    def field(resource: str, divisor: str = "1") -> str:
        return environment.resource({"resource": resource, "divisor": divisor}, container, document, FACTS)

    assert field("limits.cpu") == "1"
    assert field("limits.cpu", "1m") == "250"
    assert field("limits.memory", "1Mi") == "64"
    assert environment.resource({"resource": "limits.cpu"}, {}, document, FACTS) == "2"


def test_services_with_an_address_become_variables() -> None:
    spec = {"clusterIP": "10.64.128.9", "ports": [{"name": "http", "port": 80}]}
    services = [
        {"metadata": {"name": "my-web"}, "spec": spec},
        {"metadata": {"name": "h"}, "spec": {"clusterIP": "None"}},
    ]
    result = environment.service_variables(services)
    assert result["MY_WEB_SERVICE_HOST"] == "10.64.128.9"
    assert result["MY_WEB_SERVICE_PORT_HTTP"] == "80"
    assert not any(name.startswith("H_") for name in result)
