"""The pod with a proxy: what is added, where, and that the rest stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plait.inject.injector import Config, inject
from plait.resources.proxy_container import container, volume

CONFIG = Config("/var/lib/plait/proxies")
ON = {"istio-injection": "enabled"}


def pod(annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    meta = {"name": "web-0", "namespace": "shop", "labels": {"app": "web", "version": "v2"}}
    containers = [{"name": "app", "image": "x"}]
    return {"metadata": {**meta, "annotations": annotations or {}}, "spec": {"containers": containers, **spec}}


def injected(document: dict[str, Any]) -> dict[str, Any]:
    outcome = inject(document, "shop", ON, CONFIG)
    assert outcome.injected and not outcome.problems, outcome
    return outcome.document


def test_a_native_sidecar_is_the_first_init_container_and_the_application_stays_as_it_was() -> None:
    mine = pod(initContainers=[{"name": "migrate", "image": "m"}], volumes=[{"name": "data", "emptyDir": {}}])
    spec = injected(mine)["spec"]
    proxy, *rest = spec["initContainers"]
    assert rest == mine["spec"]["initContainers"] and spec["containers"] == mine["spec"]["containers"]
    assert (proxy["name"], proxy["restartPolicy"]) == ("istio-proxy", "Always")
    assert proxy["startupProbe"]["httpGet"] == {"path": "/healthz/ready", "port": 15021}
    assert "lifecycle" not in proxy, "it ends after the application: a pause would only delay the pod's end"
    assert spec["volumes"] == [{"name": "data", "emptyDir": {}}, volume("/var/lib/plait/proxies")]


def test_the_status_annotation_says_what_was_added_as_istios_does() -> None:
    status = json.loads(injected(pod())["metadata"]["annotations"]["sidecar.istio.io/status"])
    assert status == {
        "initContainers": ["istio-proxy"],
        "containers": [],
        "volumes": ["plait-proxy"],
        "imagePullSecrets": None,
        "revision": "default",
    }


def test_labels_that_peers_read() -> None:
    assert injected(pod())["metadata"]["labels"] == {
        "app": "web",
        "version": "v2",
        "service.istio.io/canonical-name": "web",
        "service.istio.io/canonical-revision": "v2",
        "networking.istio.io/tunnel": "http",
        "security.istio.io/tlsMode": "istio",
    }


def test_a_pod_that_wants_no_mutual_tls_keeps_saying_so() -> None:
    mine = pod()
    mine["metadata"]["labels"]["security.istio.io/tlsMode"] = "disabled"
    assert injected(mine)["metadata"]["labels"]["security.istio.io/tlsMode"] == "disabled"


def test_kubectl_means_the_application_where_it_is_one_container() -> None:
    key = "kubectl.kubernetes.io/default-container"
    assert injected(pod({"sidecar.istio.io/nativeSidecar": "false"}))["metadata"]["annotations"][key] == "app"
    assert injected(pod({key: "other"}))["metadata"]["annotations"][key] == "other"
    two = pod(containers=[{"name": "a", "image": "x"}, {"name": "b", "image": "x"}])
    assert key not in injected(two)["metadata"]["annotations"]


def test_a_long_name_is_cut_to_what_a_label_may_hold() -> None:
    meta = {"generateName": f"{'long-' * 13}-", "labels": {}}
    labels = injected({"metadata": meta, "spec": {"containers": []}})["metadata"]["labels"]
    assert labels["service.istio.io/canonical-name"] == ("long-" * 13)[:63].rstrip("-")


def test_a_pod_without_labels_is_called_after_its_deployment() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5c9d", "uid": "u", "controller": True}
    meta = {"generateName": "web-5c9d-", "labels": {"pod-template-hash": "5c9d"}, "ownerReferences": [owner]}
    labels = injected({"metadata": meta, "spec": {"containers": []}})["metadata"]["labels"]
    assert labels["service.istio.io/canonical-name"] == "web"
    own = {**meta, "labels": {"service.istio.io/canonical-name": "mine"}}
    assert injected({"metadata": own, "spec": {"containers": []}})["metadata"]["labels"][
        "service.istio.io/canonical-name"
    ] == "mine"  # fmt: skip


def test_injecting_twice_is_injecting_once() -> None:
    once = injected(pod())
    again = inject(once, "shop", ON, CONFIG)
    assert (again.document, again.injected, again.problems) == (once, False, ())


def test_the_document_given_is_not_changed() -> None:
    mine = pod()
    before = json.dumps(mine)
    injected(mine)
    assert json.dumps(mine) == before


def test_without_native_sidecars_the_proxy_is_the_first_container_and_holds_the_next_until_it_serves() -> None:
    found = injected(pod({"sidecar.istio.io/nativeSidecar": "false"}))
    proxy, app = found["spec"]["containers"]
    assert (proxy["name"], app["name"]) == ("istio-proxy", "app") and "initContainers" not in found["spec"]
    assert "restartPolicy" not in proxy
    assert "/healthz/ready" in proxy["lifecycle"]["postStart"]["exec"]["command"][2]
    assert proxy["lifecycle"]["preStop"] == container()["lifecycle"]["preStop"]
    status = json.loads(found["metadata"]["annotations"]["sidecar.istio.io/status"])
    assert (status["initContainers"], status["containers"]) == ([], ["istio-proxy"])


def test_resources_by_annotation() -> None:
    notes = {"proxyCPU": "50m", "proxyMemory": "64Mi", "proxyCPULimit": "1", "proxyMemoryLimit": "256Mi"}
    proxy = injected(pod({f"sidecar.istio.io/{name}": value for name, value in notes.items()}))["spec"][
        "initContainers"
    ][0]
    assert proxy["resources"] == {
        "requests": {"cpu": "50m", "memory": "64Mi"},
        "limits": {"cpu": "1", "memory": "256Mi"},
    }


def test_what_a_pod_says_about_its_own_proxy_wins() -> None:
    mine = pod()
    mine["spec"]["containers"].append(
        {
            "name": "istio-proxy",
            "image": "auto",
            "resources": {"limits": {"cpu": "3"}},
            "env": [{"name": "LOG", "value": "1"}],
            "securityContext": {"readOnlyRootFilesystem": True},
        }
    )
    spec = injected(mine)["spec"]
    proxy = spec["initContainers"][0]
    assert [each["name"] for each in spec["containers"]] == ["app"]
    assert proxy["image"] == container()["image"] and proxy["resources"] == {"limits": {"cpu": "3"}}
    assert [each["name"] for each in proxy["env"]] == ["POD_UID", "LOG"]
    assert proxy["securityContext"] == {**container()["securityContext"], "readOnlyRootFilesystem": True}


def test_a_gateway_template_makes_the_auto_container_the_proxy_where_it_stands() -> None:
    mine = pod({"inject.istio.io/templates": "gateway"})
    ports = [{"containerPort": 80}, {"containerPort": 15021, "name": "health"}]
    mine["spec"]["containers"] = [{"name": "istio-proxy", "image": "auto", "ports": ports}]
    found = injected(mine)
    (proxy,) = found["spec"]["containers"]
    assert proxy["image"] == container()["image"] and proxy["ports"] == ports
    assert proxy["securityContext"]["capabilities"]["add"] == ["NET_BIND_SERVICE"]
    assert "initContainers" not in found["spec"]
    assert "networking.istio.io/tunnel" not in found["metadata"]["labels"], "nobody tunnels to a gateway"


@pytest.mark.parametrize("document", [{"spec": {"containers": 5}}, {"metadata": {"labels": {"a": 1}}}, {"spec": "x"}])
def test_what_is_no_pod_is_a_problem_and_nothing_else(document: dict[str, Any]) -> None:
    outcome = inject(document, "shop", ON, CONFIG)
    assert outcome.refused and not outcome.injected and outcome.document == document
