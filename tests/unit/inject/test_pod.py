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
    assert injected(two)["metadata"]["annotations"][key] == "a"


def test_beside_a_gateway_kubectl_means_the_only_other_container() -> None:
    key, gateway = "kubectl.kubernetes.io/default-container", {"inject.istio.io/templates": "gateway"}
    proxy = {"name": "istio-proxy", "image": "auto"}
    for others, shown in (([], None), (["a"], "a"), (["a", "b"], None)):
        mine = pod(gateway, containers=[proxy, *({"name": name, "image": "x"} for name in others)])
        assert injected(mine)["metadata"]["annotations"].get(key) == shown


def test_prometheus_is_shown_the_proxy_unless_the_pod_says_otherwise() -> None:
    key = "prometheus.io/port"
    assert injected(pod())["metadata"]["annotations"][key] == "15020"
    assert injected(pod({key: "80"}))["metadata"]["annotations"][key] == "80"
    assert key not in injected(pod({"prometheus.istio.io/merge-metrics": "false"}))["metadata"]["annotations"]


def test_the_revision_is_told() -> None:
    assert injected(pod())["metadata"]["annotations"]["istio.io/rev"] == "default"


def test_a_pod_of_a_proxy_alone_keeps_it_as_its_container() -> None:
    found = injected(pod(containers=[{"name": "istio-proxy", "image": "auto"}]))
    assert [each["name"] for each in found["spec"]["containers"]] == ["istio-proxy"]
    assert json.loads(found["metadata"]["annotations"]["sidecar.istio.io/status"])["containers"] == ["istio-proxy"]


def test_a_pod_whose_containers_are_no_root_may_have_a_transparent_proxy() -> None:
    mine = pod({"sidecar.istio.io/interceptionMode": "TPROXY"}, securityContext={"runAsNonRoot": True})
    assert injected(mine)["spec"]["initContainers"][0]["securityContext"]["runAsNonRoot"] is False
    assert injected(pod())["spec"]["initContainers"][0]["securityContext"]["runAsNonRoot"] is True


def test_init_containers_that_the_pod_names_come_before_the_proxy() -> None:
    listed = [{"name": name, "image": "x"} for name in "abc"]
    mine = pod({"sidecar.istio.io/init-containers-before-proxy": "c, a,none"}, initContainers=listed)
    names = [each["name"] for each in injected(mine)["spec"]["initContainers"]]
    assert names == ["c", "a", "istio-proxy", "b"]


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


def test_what_a_pod_says_of_its_proxy_is_merged_into_what_is_there() -> None:
    hook = {"exec": {"command": ["sleep", "9"]}}
    own = {
        "name": "istio-proxy",
        "image": "auto",
        "resources": {"limits": {"cpu": "3"}},
        "lifecycle": {"preStop": hook},
        "readinessProbe": {"periodSeconds": 7},
        "startupProbe": {"exec": {"command": ["true"]}},
    }
    mine = pod({"sidecar.istio.io/proxyCPU": "50m"}, containers=[{"name": "app", "image": "x"}, own])
    proxy = injected(mine)["spec"]["initContainers"][0]
    assert proxy["resources"] == {"requests": {"cpu": "50m"}, "limits": {"cpu": "3"}}
    assert proxy["lifecycle"] == {"preStop": hook}, "of a hook there is one handler"
    assert proxy["readinessProbe"] == {**container()["readinessProbe"], "periodSeconds": 7}
    assert "httpGet" not in proxy["startupProbe"] and proxy["startupProbe"]["failureThreshold"] == 600
    mine["metadata"]["annotations"]["sidecar.istio.io/nativeSidecar"] = "false"
    own["lifecycle"] = {}
    assert injected(mine)["spec"]["containers"][0]["lifecycle"]["preStop"] == container()["lifecycle"]["preStop"]


def test_levels_of_the_log_are_said_once_beside_what_the_image_says() -> None:
    assert "args" not in injected(pod())["spec"]["initContainers"][0]
    prefix = "sidecar.istio.io/"
    levels = {f"{prefix}logLevel": "debug", f"{prefix}componentLogLevel": "rbac:trace"}
    args = injected(pod(levels))["spec"]["initContainers"][0]["args"]
    assert args == ["--log-level", "debug", "--component-log-level", "rbac:trace"]
    args = injected(pod({"proxy.istio.io/config": "concurrency: 2"}))["spec"]["initContainers"][0]["args"]
    image = ["--log-level", "warning", "--component-log-level", "misc:error"]
    assert args == ["--concurrency", "2", *image], "arguments replace the image's own"


def test_volumes_by_annotation_unless_the_pod_has_one_of_the_name() -> None:
    notes = {
        "sidecar.istio.io/userVolume": '{"keys": {"secret": {"secretName": "k"}}, "data": {"emptyDir": {}}}',
        "sidecar.istio.io/userVolumeMount": '{"keys": {"mountPath": "/keys", "readOnly": true}}',
    }
    mine = pod(notes, volumes=[{"name": "data", "configMap": {"name": "mine"}}])
    found = injected(mine)
    mine_first, keys, proxies = found["spec"]["volumes"]
    assert mine_first == mine["spec"]["volumes"][0] and keys == {"name": "keys", "secret": {"secretName": "k"}}
    mounts = found["spec"]["initContainers"][0]["volumeMounts"]
    assert mounts[-1] == {"name": "keys", "mountPath": "/keys", "readOnly": True} and len(mounts) == 2
    status = json.loads(found["metadata"]["annotations"]["sidecar.istio.io/status"])
    assert status["volumes"] == ["keys", proxies["name"]]


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
