"""A waypoint that runs: requests pass it, an L7 policy is applied there, and without it nothing passes unjudged."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from kit.behind_waypoint import answer, begun
from kit.mesh import Mesh, mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]
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


@pytest.fixture(scope="module")
def mine() -> Iterator[Mesh]:
    with mesh(f"wayp{os.getpid()}") as found:
        begun(found)
        yield found


def folders(mine: Mesh) -> int:
    return len(list(mine.layout.proxies.iterdir()))


@pytest.mark.reliability(number=5)
def test_requests_pass_the_waypoint_and_its_policy_and_stop_when_it_is_gone(mine: Mesh) -> None:
    address = mine.get(kinds.SERVICE, "web", "shop")["spec"]["clusterIP"]

    def asked(path: str) -> str:
        return answer(mine, address, path)

    until(lambda: asked("/") == "200", "a request passes the waypoint")
    assert asked("/keyrings/") == "200"
    mine.apply(POLICY)
    until(lambda: asked("/keyrings/") == "403", "the waypoint refuses what the policy denies")
    assert asked("/") == "200"
    mine.scale("waypoint", 0, "shop")
    until(lambda: asked("/") != "200", "no waypoint, no answer: its policy is never skipped")
    until(lambda: folders(mine) == 0, "the folder of the old proxy went with its pod")
    mine.scale("waypoint", 1, "shop")
    until(lambda: asked("/") == "200", "a new waypoint takes over")
    assert asked("/keyrings/") == "403"
    assert folders(mine) == 1
    mine.ask(lambda api: api.delete(kinds.AUTHORIZATION_POLICY, "no-keyrings", "shop"))
    until(lambda: asked("/keyrings/") == "200", "it lets pass what nothing denies any more")


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


def test_a_service_leaves_its_waypoint_and_comes_back_under_load_and_no_request_is_lost(mine: Mesh) -> None:
    """Also when a policy binds what passes the waypoint, so that a guard comes and goes at the server's node."""
    address = mine.get(kinds.SERVICE, "web", "shop")["spec"]["clusterIP"]
    pod = f"{mine.address('web', 'shop')}:8000"
    until(lambda: answer(mine, address) == "200", "a request passes the waypoint")
    flipped(mine, address, 1.0, "none", "waypoint", "none", "waypoint", "none")
    assert answer(mine, pod) == "200"
    mine.apply(POLICY.replace('{group: "", kind: Service, name: web}', GATEWAY))
    assert answer(mine, pod) == "200"  # it binds only what stands behind the waypoint
    flipped(mine, address, 2.5, "waypoint", "none", "waypoint")
    until(lambda: answer(mine, pod) == "closed", "nobody gets past the waypoint")
    assert answer(mine, address, "/keyrings/") == "403"


def flipped(mine: Mesh, address: str, pause: float, *names: str) -> None:
    """The service uses these one after another, while requests that must not be lost are under way."""
    with ThreadPoolExecutor(1) as beside:
        loading = beside.submit(lambda: mine.inside("client", LOAD, address, namespace="shop"))
        time.sleep(2.0)
        for name in names:
            label = {"metadata": {"labels": {"istio.io/use-waypoint": name}}}
            mine.ask(lambda api, label=label: api.patch(kinds.SERVICE, "web", label, "shop"))
            time.sleep(pause)
        sent, _, lost = loading.result().strip().partition(" ")
    assert int(sent) > 100
    assert lost == "[]"
