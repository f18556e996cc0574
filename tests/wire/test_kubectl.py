"""Unmodified kubectls against the embedded API server."""

from __future__ import annotations

import pytest

from kit import apiserver
from kit import kubectl as kit
from kit.kubectl import Kubectl
from plait.resources import kinds

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
data: {colour: blue}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default, labels: {app: web}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: web, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
NEW_IMAGE = '{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"v2"}]}}}}'


every = pytest.mark.parametrize("run", kit.parameters(), indirect=True)
ends = pytest.mark.parametrize("run", kit.parameters(ends=True), indirect=True)


@every
async def test_apply_creates_then_changes_nothing_then_changes_one_field(
    run: Kubectl, cluster: apiserver.Cluster
) -> None:
    assert (await run("apply", "-f", "-", stdin=MANIFEST)).count("created") == 3
    before = await cluster.http.get(kinds.DEPLOYMENT, "web", "default")
    assert (await run("apply", "-f", "-", stdin=MANIFEST)).count("unchanged") == 3
    assert await cluster.http.get(kinds.DEPLOYMENT, "web", "default") == before
    assert "configured" in await run("apply", "-f", "-", stdin=MANIFEST.replace("blue", "red"))
    assert (await cluster.http.get(kinds.CONFIG_MAP, "settings", "default"))["data"] == {"colour": "red"}


@ends
async def test_server_side_apply_reports_who_owns_a_contested_field(run: Kubectl) -> None:
    assert (await run("apply", "--server-side", "-f", "-", stdin=MANIFEST)).count("serverside-applied") == 3
    other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    refused = await run(*other, stdin=MANIFEST.replace("blue", "red"), code=1)
    assert "conflict" in refused
    assert ".data.colour" in refused
    await run(*other, "--force-conflicts", stdin=MANIFEST.replace("blue", "red"))


@ends
async def test_label_annotate_patch_scale_and_delete_reach_the_object(run: Kubectl, cluster: apiserver.Cluster) -> None:
    await run("apply", "-f", "-", stdin=MANIFEST)
    await run("label", "deployment", "web", "tier=front")
    await run("annotate", "deployment", "web", "note=n")
    await run(
        "patch", "deployment", "web", "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"v2"}]}}}}'
    )
    await run("scale", "deployment", "web", "--replicas=3")
    found = await cluster.http.get(kinds.DEPLOYMENT, "web", "default")
    assert found["metadata"]["labels"] == {"app": "web", "tier": "front"}
    assert found["metadata"]["annotations"]["note"] == "n"
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "v2"
    assert found["spec"]["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert found["spec"]["replicas"] == 3
    assert found["metadata"]["generation"] == 3
    await run("delete", "deployment", "web", "--wait=true", "--timeout=20s")
    assert "NotFound" in await run("get", "deployment", "web", code=1)


@ends
async def test_get_describe_explain_and_diff_read_what_is_there(run: Kubectl) -> None:
    await run("apply", "-f", "-", stdin=MANIFEST)
    assert "web" in await run("get", "deployment,svc", "-A", "-o", "wide")
    assert "colour: blue" in await run("get", "cm", "settings", "-o", "yaml")
    assert "app=web" in await run("describe", "deployment", "web")
    assert "pods" in await run("explain", "deployment.spec.replicas")
    assert "configmaps" in await run("api-resources")
    assert "yes" in await run("auth", "can-i", "list", "pods", "--as=system:apiserver", "--as-group=system:masters")
    assert await run("diff", "-f", "-", stdin=MANIFEST) == ""
    assert "+  colour: red" in await run("diff", "-f", "-", stdin=MANIFEST.replace("blue", "red"), code=1)


@every
async def test_a_mistyped_field_is_refused_with_its_path(run: Kubectl) -> None:
    broken = MANIFEST.replace("selector: {matchLabels", "selektor: {matchLabels")
    assert 'unknown field "spec.selektor"' in await run("apply", "-f", "-", stdin=broken, code=1)


@every
async def test_create_wait_and_token_work(run: Kubectl) -> None:
    assert "created" in await run("create", "namespace", "made")
    assert "created" in await run("create", "configmap", "c", "-n", "made", "--from-literal=a=b")
    assert "condition met" in await run(
        "wait", "--for=jsonpath={.data.a}=b", "configmap/c", "-n", "made", "--timeout=10s"
    )
    assert (await run("create", "token", "default", "-n", "made")).count(".") == 2
