"""A waypoint that runs: requests pass it, an L7 policy is applied there, and without it nothing passes unjudged."""

from __future__ import annotations

import json
import os

import pytest

from kit.mesh import Mesh, mesh, until
from plait.resources import kinds
from plait.resources.proxy_container import container, volume
from plait.store.api import ApiError

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]
WORLD = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient, istio.io/use-waypoint: waypoint}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop, labels: {istio.io/waypoint-for: service}}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
---
apiVersion: v1
kind: Service
metadata: {name: waypoint, namespace: shop, labels: {gateway.networking.k8s.io/gateway-name: waypoint}}
spec:
  selector: {gateway.networking.k8s.io/gateway-name: waypoint}
  ports: [{name: hbone, port: 15008}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8000}]
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: python, command: [python3, -m, http.server, "8000", --directory, /etc/apt]}]
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop, labels: {app: client}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: busybox, command: [sleep, "1000"]}]
"""
POLICY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-keyrings, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: web}]
  action: DENY
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/default]}}]
    to: [{operation: {paths: ["/keyrings*"]}}]
"""
ASK = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=3).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError as error:
    print("closed")
"""


def proxy_pod(mine: Mesh) -> str:
    labels = {
        "gateway.networking.k8s.io/gateway-name": "waypoint",
        "gateway.istio.io/managed": "istio.io-mesh-controller",
        "istio.io/dataplane-mode": "none",
    }
    spec = {"containers": [container()], "volumes": [volume(str(mine.home / mine.name / "proxies"))]}
    metadata = {"name": "waypoint-0", "namespace": "shop", "labels": labels}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def gone(mine: Mesh) -> bool:
    try:
        mine.get(kinds.POD, "waypoint-0", "shop")
    except ApiError as error:
        return error.code == 404
    return False


def test_requests_pass_the_waypoint_and_its_policy_and_stop_when_it_is_gone() -> None:
    with mesh(f"wayp{os.getpid()}") as mine:
        mine.up("--nodes", "2")
        mine.apply(WORLD)
        mine.apply(proxy_pod(mine))
        mine.ready("shop", "web", "client", "waypoint-0")
        mine.captured("shop", "web", "client")
        address = mine.get(kinds.SERVICE, "web", "shop")["spec"]["clusterIP"]

        def answer(path: str) -> str:
            return mine.inside("client", ASK, f"http://{address}{path}", namespace="shop").strip()

        until(lambda: answer("/") == "200", "a request passes the waypoint")
        assert answer("/keyrings/") == "200"
        mine.apply(POLICY)
        until(lambda: answer("/keyrings/") == "403", "the waypoint refuses what the policy denies")
        assert answer("/") == "200"
        mine.plait("delete", "pod", "waypoint-0", "-n", "shop")
        until(lambda: answer("/") != "200", "no waypoint, no answer: its policy is never skipped")
        until(lambda: gone(mine), "the old waypoint has ended")
        mine.apply(proxy_pod(mine))
        until(lambda: answer("/") == "200", "a new waypoint takes over")
        assert answer("/keyrings/") == "403"
        folders = list((mine.home / mine.name / "proxies").iterdir())
        assert len(folders) == 1, "the folder of the old proxy went with its pod"
