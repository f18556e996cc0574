# ruff: noqa: E501 (rows of a table of cases)
"""What a pod may not say about its proxy: each with its field and a way out."""

from __future__ import annotations

from typing import Any

import pytest

from plait.inject import checks
from plait.inject.proxying import proxying
from plait.resources.mesh_config.proxy import ProxyConfig

APP = {"name": "app", "image": "x"}


def wrong(pod: dict[str, Any]) -> list[tuple[str, str]]:
    return list(checks.wrong(pod, proxying(pod["metadata"]["annotations"], ProxyConfig())))


def pod(annotations: dict[str, str] | None = None, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"annotations": annotations or {}}, "spec": {"containers": list(containers) or [APP], **spec}}


@pytest.mark.parametrize(
    ("document", "path", "words"),
    [
        (pod({"traffic.sidecar.istio.io/excludeOutboundPorts": "80,http"}), "metadata.annotations[traffic.sidecar.istio.io/excludeOutboundPorts]", '"http" is no port'),
        (pod({"traffic.sidecar.istio.io/includeOutboundIPRanges": "10/8"}), "metadata.annotations[traffic.sidecar.istio.io/includeOutboundIPRanges]", "10.0.0.0/8"),
        (pod({"sidecar.istio.io/interceptionMode": "MAGIC"}), "metadata.annotations[sidecar.istio.io/interceptionMode]", "use REDIRECT, TPROXY or NONE"),
        (pod({"proxy.istio.io/config": "concurency: 2"}), "metadata.annotations[proxy.istio.io/config].concurency", "concurrency"),
        (pod({"sidecar.istio.io/interceptionMode": "TPROXY"}, {**APP, "securityContext": {"runAsGroup": 1337}}), "spec.containers[0].securityContext.runAsGroup", "the proxy's group"),
        (pod(None, {**APP, "ports": [{"containerPort": 80}, {"containerPort": 15001}]}), "spec.containers[0].ports[1].containerPort", "listen on another port"),
        (pod({"sidecar.istio.io/proxyCPU": "lots"}), "metadata.annotations[sidecar.istio.io/proxyCPU]", "such as 100m"),
        (pod({"traffic.sidecar.istio.io/excludeInboundPorts": "*"}), "metadata.annotations[traffic.sidecar.istio.io/excludeInboundPorts]", "1 to 65535"),
        (pod({"traffic.sidecar.istio.io/excludeOutboundIPRanges": "*"}), "metadata.annotations[traffic.sidecar.istio.io/excludeOutboundIPRanges]", "such as 10.0.0.0/8"),
        (pod({"sidecar.istio.io/logLevel": "loud"}), "metadata.annotations[sidecar.istio.io/logLevel]", "debug"),
        (pod(None, {"name": "istio-proxy", "image": "auto", "securityContext": {"runAsUser": 1234}}), "spec.containers[0].securityContext.runAsUser", "runs as 1337"),
        (pod({"sidecar.istio.io/interceptionMode": "TPROXY"}, {"name": "istio-proxy", "image": "auto", "securityContext": {"runAsUser": 1337}}), "spec.containers[0].securityContext.runAsUser", "runs as 0"),
        (pod({"inject.istio.io/templates": "sidecar,my-gateway"}), "metadata.annotations[inject.istio.io/templates]", "no template \"my-gateway\""),
        (pod({"sidecar.istio.io/nativeSidecar": "1"}), "metadata.annotations[sidecar.istio.io/nativeSidecar]", "neither"),
        (pod({"inject.istio.io/templates": "gatway"}), "metadata.annotations[inject.istio.io/templates]", "sidecar or gateway"),
        (pod({"inject.istio.io/templates": "gateway"}), "spec.containers", "image \"auto\""),
        (pod(None, {"name": "istio-proxy", "image": "nginx"}), "spec.containers[0].image", "rename"),
        (pod(None, {**APP, "securityContext": {"runAsUser": 1337}}), "spec.containers[0].securityContext.runAsUser", "another"),
        (pod(securityContext={"runAsUser": 1337}), "spec.containers[0].securityContext.runAsUser", "another"),
        (pod(initContainers=[{**APP, "securityContext": {"runAsUser": 1337}}]), "spec.initContainers[0].securityContext.runAsUser", "another"),
    ],
)  # fmt: skip
def test_wrong(document: dict[str, Any], path: str, words: str) -> None:
    ((where, message),) = wrong(document)
    assert where == path and words in message


def test_right() -> None:
    notes = {
        "traffic.sidecar.istio.io/excludeOutboundPorts": "80, 443",
        "traffic.sidecar.istio.io/includeOutboundIPRanges": "*",
        "traffic.sidecar.istio.io/includeInboundPorts": "",
        "sidecar.istio.io/interceptionMode": "REDIRECT",
        "sidecar.istio.io/proxyMemory": "1.5Gi",
        "inject.istio.io/templates": "sidecar",
    }
    own = {**APP, "securityContext": {"runAsUser": 1000}}
    proxy = {"name": "istio-proxy", "image": "auto", "securityContext": {"runAsUser": 1337}}
    assert list(wrong(pod(notes, own, proxy, securityContext={"runAsUser": 1337}))) == []
