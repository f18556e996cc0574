"""What people do with kubectl, with the oldest and the newest one of this machine: edit, watch, wait, describe, …"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kit import apiserver, webhook
from kit import kubectl as kit
from kit.kubectl import Kubectl
from kit.widgets import definition, widget
from plait.base import aio
from plait.resources.kinds import CONFIG_MAP, DEPLOYMENT, EVENT, POD, SECRET, SERVICE

POD_YAML = """
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: default, labels: {app: web}}
spec:
  containers: [{name: c, image: "web:1", ports: [{containerPort: 80}], env: [{name: A, value: b}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "web:1"}]}
"""


ends = pytest.mark.parametrize("run", kit.parameters(ends=True), indirect=True)


@ends
async def test_edit_stores_what_the_editor_wrote_and_nothing_when_it_wrote_nothing(
    run: Kubectl, cluster: apiserver.Cluster
) -> None:
    await cluster.http.create(CONFIG_MAP, {"metadata": {"name": "c"}, "data": {"colour": "blue"}}, "default")
    run.env["EDITOR"] = "true"
    assert "no changes made" in await run("edit", "configmap", "c")
    run.env["EDITOR"] = "sed -i s/blue/red/"
    assert "edited" in await run("edit", "configmap", "c")
    assert (await cluster.http.get(CONFIG_MAP, "c", "default"))["data"] == {"colour": "red"}


@ends
async def test_watching_prints_rows_as_objects_change(run: Kubectl, cluster: apiserver.Cluster) -> None:
    await run("apply", "-f", "-", stdin=POD_YAML)
    async with run.following("get", "deployment", "-w") as until:
        assert "0/1" in await until("web")
        await cluster.http.patch(DEPLOYMENT, "web", {"spec": {"replicas": 4}}, "default")
        assert (await until("0/4")).split()[0] == "web"
    async with run.following("get", "pods", "-A", "-w", "-o", "wide", "--show-labels") as until:
        assert "app=web" in await until("p ")
        spec = {"containers": [{"name": "c", "image": "web:1"}]}
        await cluster.http.create(POD, {"metadata": {"name": "q"}, "spec": spec}, "default")
        assert "Pending" in await until("q ")


@ends
async def test_wait_sees_conditions_and_deletions(run: Kubectl, cluster: apiserver.Cluster) -> None:
    await run("apply", "-f", "-", stdin=POD_YAML)
    waiting = aio.spawn(run("wait", "--for=condition=Available", "deployment/web", "--timeout=20s"), "wait")
    status = {"status": {"conditions": [{"type": "Available", "status": "True"}]}}
    await cluster.http.patch(DEPLOYMENT, "web", status, "default", subresource="status")
    assert "condition met" in await waiting
    going = aio.spawn(run("wait", "--for=delete", "pod/p", "--timeout=20s"), "wait for deletion")
    await cluster.http.delete(POD, "p", "default", grace=0)
    await going


@ends
async def test_describe_tells_of_pods_services_and_deployments_with_their_events(
    run: Kubectl, cluster: apiserver.Cluster
) -> None:
    await run("apply", "-f", "-", stdin=POD_YAML)
    pod = await cluster.http.get(POD, "p", "default")
    about = {"kind": "Pod", "namespace": "default", "name": "p", "uid": pod["metadata"]["uid"], "apiVersion": "v1"}
    event = {"metadata": {"name": "p.1"}, "involvedObject": about, "reason": "Pulled", "message": "image is there"}
    await cluster.http.create(EVENT, event | {"type": "Normal", "count": 1}, "default")
    shown = await run("describe", "pod", "p")
    assert "image is there" in shown
    assert "kube-api-access" in shown
    assert "web:1" in shown
    service = await run("describe", "service", "web")
    assert "app=web" in service
    assert "http  80/TCP" in service
    deployment = await run("describe", "deployment", "web")
    assert "RollingUpdateStrategy:  25% max unavailable, 25% max surge" in deployment


@ends
async def test_each_type_of_patch_does_what_it_is_for(run: Kubectl, cluster: apiserver.Cluster) -> None:
    await run("apply", "-f", "-", stdin=POD_YAML)
    where = ("patch", "deployment", "web")
    strategic = {"spec": {"template": {"spec": {"containers": [{"name": "d", "image": "log:1"}]}}}}
    await run(*where, "-p", json.dumps(strategic))
    await run(*where, "--type=merge", "-p", '{"spec":{"replicas":2}}')
    path = "/spec/template/spec/containers/1/image"
    names = (await cluster.http.get(DEPLOYMENT, "web", "default"))["spec"]["template"]["spec"]["containers"]
    assert {each["name"] for each in names} == {"c", "d"}
    await run(*where, "--type=json", "-p", json.dumps([{"op": "replace", "path": path, "value": "new:1"}]))
    spec = (await cluster.http.get(DEPLOYMENT, "web", "default"))["spec"]
    assert spec["replicas"] == 2
    assert spec["template"]["spec"]["containers"][1]["image"] == "new:1"
    assert "not found" in await run("patch", "deployment", "gone", "-p", "{}", code=1)


@ends
async def test_what_kubectl_makes_itself_is_stored_with_defaults(run: Kubectl, cluster: apiserver.Cluster) -> None:
    commands = [
        "create secret generic s --from-literal=a=b",
        "create configmap c --from-literal=a=b",
        "create serviceaccount robot",
        "create deployment made --image=web:1 --replicas=2 --port=80",
        "create service nodeport made --tcp=80:8080",
        "create job once --image=web:1 -- true",
        "create role reader --verb=get --resource=pods",
        "create rolebinding reads --role=reader --serviceaccount=default:robot",
        "create clusterrole all --verb=* --resource=*.*",
    ]
    for command in commands:
        assert "created" in await run(*command.split())
    assert (await cluster.http.get(SECRET, "s", "default"))["data"] == {"a": "Yg=="}
    made = (await cluster.http.get(DEPLOYMENT, "made", "default"))["spec"]
    assert made["replicas"] == 2
    assert made["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}
    ports = (await cluster.http.get(SERVICE, "made", "default"))["spec"]["ports"]
    assert ports[0]["targetPort"] == 8080
    assert 30000 <= ports[0]["nodePort"] < 32768
    robot = "--as=system:serviceaccount:default:robot"
    assert "yes" in await run("auth", "can-i", "get", "pods", robot)
    assert "no" in await run("auth", "can-i", "delete", "pods", robot, code=1)
    assert "pods" in await run("auth", "can-i", "--list", robot)


@ends
async def test_replace_scale_and_expose_build_on_what_is_there(run: Kubectl, cluster: apiserver.Cluster) -> None:
    await run("apply", "-f", "-", stdin=POD_YAML)
    service = POD_YAML.split("---")[1].replace("port: 80}", "port: 81}")
    assert "replaced" in await run("replace", "-f", "-", stdin=service)
    assert (await cluster.http.get(SERVICE, "web", "default"))["spec"]["ports"][0]["port"] == 81
    await run("scale", "deployment/web", "--current-replicas=1", "--replicas=3")
    assert "Expected replicas to be 1" in await run(
        "scale", "deployment/web", "--current-replicas=1", "--replicas=5", code=1
    )
    await run("expose", "deployment", "web", "--name=front", "--port=80")
    assert (await cluster.http.get(SERVICE, "front", "default"))["spec"]["selector"] == {"app": "web"}


@ends
async def test_a_definition_is_applied_explained_used_and_deleted(run: Kubectl, cluster: apiserver.Cluster) -> None:
    assert "created" in await run("apply", "-f", "-", stdin=json.dumps(definition()))
    assert "condition met" in await run("wait", "--for=condition=Established", "crd/widgets.shop.example")
    assert "created" in await run("apply", "-f", "-", stdin=json.dumps(widget(parts=[{"id": "x", "count": 2}])))
    assert "unchanged" in await run("apply", "-f", "-", stdin=json.dumps(widget(parts=[{"id": "x", "count": 2}])))
    assert "configured" in await run("apply", "-f", "-", stdin=json.dumps(widget(size=4)))
    assert 'unknown field "spec.sise"' in await run("apply", "-f", "-", stdin=json.dumps(widget(sise=1)), code=1)
    wide = (await run("get", "wd", "-o", "wide")).splitlines()
    assert wide[0].split() == ["NAME", "SIZE", "COLOUR", "FIRST", "AGE"]
    assert wide[1].split()[:3] == ["w", "4", "red"]
    assert "size" in await run("explain", "widgets.spec")
    await run("scale", "widget/w", "--replicas=2")
    assert "scaled" in await run("scale", "widget/w", "--replicas=3")
    assert "Replicas" in await run("describe", "widget", "w")
    assert "widgets" in await run("api-resources", "--api-group=shop.example")
    assert "widget.shop.example/w" in await run("get", "all", "-o", "name")
    assert "deleted" in await run("delete", "crd", "widgets.shop.example", "--timeout=20s")
    assert "could not find the requested resource" in await run("get", "widgets", code=1)


@ends
async def test_explain_reads_built_in_and_mesh_kinds(run: Kubectl) -> None:
    assert "containerPort" in await run("explain", "pods.spec.containers.ports")
    assert "hosts" in await run("explain", "virtualservices.spec")
    assert "parentRefs" in await run("explain", "httproutes.spec")


@ends
async def test_warnings_and_refusals_of_webhooks_are_printed(
    run: Kubectl, cluster: apiserver.Cluster, tmp_path: Path
) -> None:
    async with webhook.running(tmp_path) as hooks:
        hooks.answers["/check"] = lambda request: webhook.allow(warnings=['mind the "gap"'])
        config = webhook.configuration("guard", hooks, "/check")
        config |= {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
        assert "created" in await run("apply", "-f", "-", stdin=json.dumps(config))
        assert 'Warning: mind the "gap"' in await run("run", "one", "--image=web:1")
        hooks.answers["/check"] = lambda request: webhook.deny("not today")
        refused = await run("run", "two", "--image=web:1", code=1)
        assert 'admission webhook "guard.example.org" denied the request: not today' in refused
