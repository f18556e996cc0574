"""Admission webhooks end to end: a real HTTPS server changes, denies, warns, or does not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kit import apiserver, webhook
from plait.resources.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    MUTATING_WEBHOOK,
    NAMESPACE,
    POD,
    SERVICE,
    VALIDATING_WEBHOOK,
)
from plait.store.api import ApiError, Document
from plait.store.client import path

SIDECAR = {"name": "sidecar", "image": "proxy:1.2"}


@pytest.fixture
async def hooks(tmp_path: Path) -> AsyncIterator[webhook.Hooks]:
    async with webhook.running(tmp_path, "injector.default.svc") as running:
        yield running


def pod(name: str, **labels: str) -> Document:
    return {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}


def add(where: str, value: Any) -> list[Document]:
    return [{"op": "add", "path": where, "value": value}]


def rule(resource: str, *operations: str, group: str = "") -> Document:
    return {"apiGroups": [group], "apiVersions": ["*"], "resources": [resource], "operations": list(operations)}


async def refused(awaitable: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await awaitable
    return caught.value


async def test_a_sidecar_is_injected_with_defaults_and_stored(cluster: apiserver.Cluster, hooks: webhook.Hooks) -> None:
    hooks.answers["/inject"] = lambda request: webhook.patch(add("/spec/containers/-", SIDECAR))
    await cluster.http.create(MUTATING_WEBHOOK, webhook.configuration("injector", hooks, "/inject"))
    made = await cluster.http.create(POD, pod("p"), "default")
    assert [c["name"] for c in made["spec"]["containers"]] == ["c", "sidecar"]
    sidecar = made["spec"]["containers"][1]
    assert sidecar["imagePullPolicy"] == "IfNotPresent"
    assert sidecar["volumeMounts"][0]["mountPath"].startswith("/var/run/secrets/")
    assert await cluster.http.get(POD, "p", "default") == made
    asked = hooks.seen[0][1]
    assert "system:masters" in asked["userInfo"]["groups"]
    assert (asked["namespace"], asked["name"], asked["operation"]) == ("default", "p", "CREATE")
    assert asked["object"]["spec"]["containers"][0]["terminationMessagePath"] == "/dev/termination-log"


async def test_a_refusal_reaches_the_client_with_the_webhooks_name_and_stores_nothing(
    cluster: apiserver.Cluster, hooks: webhook.Hooks
) -> None:
    hooks.answers["/check"] = lambda request: webhook.deny("no pods today")
    await cluster.http.create(VALIDATING_WEBHOOK, webhook.configuration("guard", hooks, "/check"))
    error = await refused(cluster.http.create(POD, pod("p"), "default"))
    assert (error.code, error.reason) == (403, "Forbidden")
    assert str(error) == 'admission webhook "guard.example.org" denied the request: no pods today'
    assert (await cluster.http.list(POD, "default"))[0] == []


async def test_a_silent_webhook_is_passed_over_under_ignore_and_refuses_under_fail(
    cluster: apiserver.Cluster, hooks: webhook.Hooks
) -> None:
    silent = webhook.configuration("silent", hooks, "/silent", timeoutSeconds=1, failurePolicy="Ignore")
    await cluster.http.create(VALIDATING_WEBHOOK, silent)
    await cluster.http.create(POD, pod("a"), "default")
    await cluster.http.patch(VALIDATING_WEBHOOK, "silent", add("/webhooks/0/failurePolicy", "Fail"), type="json")
    error = await refused(cluster.http.create(POD, pod("b"), "default"))
    assert (error.code, error.reason) == (500, "InternalError")
    assert 'failed calling webhook "silent.example.org"' in str(error)
    assert "no answer within 1 s" in str(error)
    assert [name for name, _ in hooks.seen] == ["/silent", "/silent"]
    await cluster.http.delete(VALIDATING_WEBHOOK, "silent")
    await cluster.http.create(POD, pod("b"), "default")


async def test_an_untrusted_certificate_is_a_failed_webhook(cluster: apiserver.Cluster, hooks: webhook.Hooks) -> None:
    config = webhook.configuration("w", hooks, "/ok")
    config["webhooks"][0]["clientConfig"].pop("caBundle")
    hooks.answers["/ok"] = lambda request: webhook.allow()
    await cluster.http.create(VALIDATING_WEBHOOK, config)
    assert "certificate verify failed" in str(await refused(cluster.http.create(POD, pod("p"), "default")))
    assert hooks.seen == []


async def test_mutating_webhooks_run_by_name_and_those_that_ask_run_again(
    cluster: apiserver.Cluster, hooks: webhook.Hooks
) -> None:
    def count(request: Document) -> Document:
        containers = len(request["object"]["spec"]["containers"])
        labels = request["object"]["metadata"].get("labels") or {}
        return webhook.patch(add("/metadata/labels", {**labels, "containers": str(containers)}))

    hooks.answers |= {"/count": count, "/once": lambda request: webhook.allow()}
    hooks.answers["/inject"] = lambda request: webhook.patch(add("/spec/containers/-", SIDECAR))
    for config in (
        webhook.configuration("c-inject", hooks, "/inject"),
        webhook.configuration("a-count", hooks, "/count", reinvocationPolicy="IfNeeded"),
        webhook.configuration("b-once", hooks, "/once"),
    ):
        await cluster.http.create(MUTATING_WEBHOOK, config)
    made = await cluster.http.create(POD, pod("p"), "default")
    assert [name for name, _ in hooks.seen] == ["/count", "/once", "/inject", "/count"]
    assert made["metadata"]["labels"]["containers"] == "2"


async def test_a_dry_run_asks_harmless_webhooks_only(cluster: apiserver.Cluster, hooks: webhook.Hooks) -> None:
    hooks.answers["/check"] = lambda request: webhook.allow()
    await cluster.http.create(VALIDATING_WEBHOOK, webhook.configuration("guard", hooks, "/check"))
    dry = {"dryRun": "All"}
    await cluster.http.call("POST", path(POD, "default"), pod("p"), query=dry)
    assert hooks.seen[0][1]["dryRun"] is True
    await cluster.http.patch(VALIDATING_WEBHOOK, "guard", add("/webhooks/0/sideEffects", "NoneOnDryRun"), type="json")
    await cluster.http.call("POST", path(POD, "default"), pod("p"), query=dry)
    assert len(hooks.seen) == 2
    assert (await cluster.http.list(POD, "default"))[0] == []


async def test_updates_deletes_and_scales_are_seen_with_both_objects(
    cluster: apiserver.Cluster, hooks: webhook.Hooks
) -> None:
    hooks.answers["/check"] = lambda request: webhook.allow()
    rules = [rule("*/*", "*", group="apps"), rule("configmaps", "UPDATE", "DELETE")]
    config = webhook.configuration("guard", hooks, "/check", rules=rules)
    await cluster.http.create(VALIDATING_WEBHOOK, config)
    await cluster.http.create(CONFIG_MAP, {"metadata": {"name": "c"}, "data": {"k": "1"}}, "default")
    assert hooks.seen == []
    await cluster.http.patch(CONFIG_MAP, "c", {"data": {"k": "2"}}, "default")
    await cluster.http.delete(CONFIG_MAP, "c", "default")
    (_, update), (_, delete) = hooks.seen
    assert (update["oldObject"]["data"], update["object"]["data"]) == ({"k": "1"}, {"k": "2"})
    assert (delete["oldObject"]["data"], delete["object"]) == ({"k": "2"}, None)
    hooks.seen.clear()
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod("x")["spec"]}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    await cluster.http.create(DEPLOYMENT, {"metadata": {"name": "d"}, "spec": spec}, "default")
    await cluster.http.patch(DEPLOYMENT, "d", {"spec": {"replicas": 4}}, "default", subresource="scale")
    assert [(r["operation"], r.get("subResource", ""), r["kind"]["kind"]) for _, r in hooks.seen] == [
        ("CREATE", "", "Deployment"),
        ("UPDATE", "scale", "Scale"),
    ]
    assert hooks.seen[1][1]["object"]["spec"] == {"replicas": 4}


async def test_a_binding_is_not_an_update_of_the_pod(cluster: apiserver.Cluster, hooks: webhook.Hooks) -> None:
    hooks.answers["/check"] = lambda request: webhook.deny("pods are frozen")
    rules = [rule("pods", "UPDATE"), rule("pods/status", "*")]
    await cluster.http.create(POD, pod("p"), "default")
    await cluster.http.create(VALIDATING_WEBHOOK, webhook.configuration("guard", hooks, "/check", rules=rules))
    target = {"target": {"kind": "Node", "name": "n1"}}
    await cluster.http.create_subresource(POD, "p", "binding", target, "default")
    assert (await cluster.http.get(POD, "p", "default"))["spec"]["nodeName"] == "n1"
    assert "frozen" in str(await refused(cluster.http.patch(POD, "p", {"metadata": {"labels": {"a": "b"}}}, "default")))


async def test_selectors_leave_other_namespaces_alone(cluster: apiserver.Cluster, hooks: webhook.Hooks) -> None:
    hooks.answers["/check"] = lambda request: webhook.deny("no")
    await cluster.http.create(NAMESPACE, {"metadata": {"name": "guarded", "labels": {"guard": "on"}}})
    selector = {"matchLabels": {"guard": "on"}}
    config = webhook.configuration("guard", hooks, "/check", namespaceSelector=selector)
    await cluster.http.create(VALIDATING_WEBHOOK, config)
    await cluster.http.create(POD, pod("free"), "default")
    await refused(cluster.http.create(POD, pod("held"), "guarded"))


async def test_a_webhook_for_everything_cannot_lock_itself_in(cluster: apiserver.Cluster, hooks: webhook.Hooks) -> None:
    hooks.answers["/check"] = lambda request: webhook.deny("nothing at all")
    rules = [rule("*/*", "*", group="*")]
    await cluster.http.create(VALIDATING_WEBHOOK, webhook.configuration("guard", hooks, "/check", rules=rules))
    await refused(cluster.http.create(NAMESPACE, {"metadata": {"name": "n"}}))
    await cluster.http.delete(VALIDATING_WEBHOOK, "guard")
    await cluster.http.create(NAMESPACE, {"metadata": {"name": "n"}})


async def test_a_service_reference_reaches_an_endpoint_under_the_services_name(
    cluster: apiserver.Cluster, hooks: webhook.Hooks
) -> None:
    hooks.answers["/inject"] = lambda request: webhook.patch(add("/metadata/labels", {"seen": "yes"}))
    config = webhook.configuration("injector", hooks, "/inject")
    reference = {"name": "injector", "namespace": "default", "path": "/inject"}
    config["webhooks"][0]["clientConfig"] |= {"service": reference}
    del config["webhooks"][0]["clientConfig"]["url"]
    await cluster.http.create(MUTATING_WEBHOOK, config)
    assert 'service "injector" not found' in str(await refused(cluster.http.create(POD, pod("p"), "default")))
    ports = [{"name": "https", "port": 443, "targetPort": 9443}]
    await cluster.http.create(SERVICE, {"metadata": {"name": "injector"}, "spec": {"ports": ports}}, "default")
    assert "no endpoints available" in str(await refused(cluster.http.create(POD, pod("p"), "default")))
    slice_ = {
        "metadata": {"name": "injector-1", "labels": {"kubernetes.io/service-name": "injector"}},
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": hooks.port}],
        "endpoints": [
            {"addresses": ["192.0.2.1"], "conditions": {"ready": False}},
            {"addresses": ["127.0.0.1"], "conditions": {"ready": True}},
        ],
    }
    await cluster.http.create(ENDPOINT_SLICE, slice_, "default")
    assert (await cluster.http.create(POD, pod("p"), "default"))["metadata"]["labels"]["seen"] == "yes"
