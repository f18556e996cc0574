"""A waypoint that runs: requests pass it, an L7 policy is applied there, and without it nothing passes unjudged."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from kit.mesh import Mesh, mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(300),
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
GATEWAY = "{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}"
ASK = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=3).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError as error:
    print("closed")
"""


def folders(mine: Mesh) -> int:
    return len(list(mine.layout.proxies.iterdir()))


def test_requests_pass_the_waypoint_and_its_policy_and_stop_when_it_is_gone() -> None:
    with mesh(f"wayp{os.getpid()}") as mine:
        mine.up("--nodes", "2")
        mine.apply(WORLD)
        mine.ready("shop", "web", "client")
        mine.programmed("shop", "waypoint")
        mine.captured("shop", "web", "client")
        address = mine.get(kinds.SERVICE, "web", "shop")["spec"]["clusterIP"]

        def answer(path: str) -> str:
            return mine.inside("client", ASK, f"http://{address}{path}", namespace="shop").strip()

        until(lambda: answer("/") == "200", "a request passes the waypoint")
        assert answer("/keyrings/") == "200"
        mine.apply(POLICY)
        until(lambda: answer("/keyrings/") == "403", "the waypoint refuses what the policy denies")
        assert answer("/") == "200"
        mine.scale("waypoint", 0, "shop")
        until(lambda: answer("/") != "200", "no waypoint, no answer: its policy is never skipped")
        until(lambda: folders(mine) == 0, "the folder of the old proxy went with its pod")
        mine.scale("waypoint", 1, "shop")
        until(lambda: answer("/") == "200", "a new waypoint takes over")
        assert answer("/keyrings/") == "403"
        assert folders(mine) == 1


LOAD = """
import http.client, sys, threading, time
lost, sent, ends = [], [0], time.monotonic() + 10
def ask():
    connection = http.client.HTTPConnection(sys.argv[1], 80, timeout=5)
    while time.monotonic() < ends:
        sent[0] += 1
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                lost.append(answer.status)
        except OSError as error:
            lost.append(repr(error))
            connection.close()
        time.sleep(0.05)
threads = [threading.Thread(target=ask) for _ in range(5)]
[each.start() for each in threads]
[each.join() for each in threads]
print(sent[0], lost)
"""


def test_a_service_leaves_its_waypoint_and_comes_back_under_load_and_no_request_is_lost() -> None:
    """Also when a policy binds what passes the waypoint, so that a guard comes and goes at the server's node."""
    with mesh(f"wayf{os.getpid()}") as mine, ThreadPoolExecutor(1) as beside:
        mine.up("--nodes", "2")
        mine.apply(WORLD)
        mine.ready("shop", "web", "client")
        mine.programmed("shop", "waypoint")
        mine.captured("shop", "web", "client")
        address, pod = (
            mine.get(kinds.SERVICE, "web", "shop")["spec"]["clusterIP"],
            f"{mine.address('web', 'shop')}:8000",
        )
        until(lambda: asked(mine, address) == "200", "a request passes the waypoint")

        def flipped(pause: float, *names: str) -> None:
            loading = beside.submit(lambda: mine.inside("client", LOAD, address, namespace="shop"))
            time.sleep(2.0)
            for name in names:
                label = {"metadata": {"labels": {"istio.io/use-waypoint": name}}}
                mine.ask(lambda api, label=label: api.patch(kinds.SERVICE, "web", label, "shop"))
                time.sleep(pause)
            sent, _, lost = loading.result().strip().partition(" ")
            assert int(sent) > 100
            assert lost == "[]"

        flipped(1.0, "none", "waypoint", "none", "waypoint", "none")
        assert asked(mine, pod) == "200"
        mine.apply(POLICY.replace('{group: "", kind: Service, name: web}', GATEWAY))
        assert asked(mine, pod) == "200"  # it binds only what stands behind the waypoint
        flipped(2.5, "waypoint", "none", "waypoint")
        until(lambda: asked(mine, pod) == "closed", "nobody gets past the waypoint")
        assert asked(mine, f"{address}/keyrings") == "403"


def asked(mine: Mesh, address: str) -> str:
    return mine.inside("client", ASK, f"http://{address}/", namespace="shop").strip()
