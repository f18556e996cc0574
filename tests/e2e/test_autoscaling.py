"""Load brings proxies of a waypoint and takes them away, placement moves them; no request is lost on the way."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from kit.behind_waypoint import CLIENT, NAMESPACE, PATIENT_SERVER, SERVICE, together
from kit.mesh import Mesh, mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]
WAYPOINT = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
  infrastructure:
    annotations:
      plait.dev/target-rps: "15"
      plait.dev/max-replicas: "3"
      plait.dev/scale-down-after: 6s
"""
WORLD = together(NAMESPACE, WAYPOINT, SERVICE, PATIENT_SERVER, CLIENT)
LOAD = """
import http.client, os, sys, threading, time
lost, sent = [], 0
def ask():
    connection = http.client.HTTPConnection(sys.argv[1], 80, timeout=20)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200 or answer.getheader("server") != "istio-envoy":
            lost.append((answer.status, answer.getheader("server")))
    except OSError as error:
        lost.append(repr(error))
    connection.close()
threads, ends = [], time.monotonic() + float(sys.argv[3])
while time.monotonic() < ends:
    threads.append(threading.Thread(target=ask))
    threads[-1].start()
    time.sleep(1 / float(sys.argv[2]))
[each.join() for each in threads]
print(len(threads), lost[:3], len(lost))
"""


def replicas(mine: Mesh) -> int:
    return int(mine.get(kinds.DEPLOYMENT, "waypoint", "shop")["spec"].get("replicas", 1))


def serving(mine: Mesh) -> list[str]:
    """Nodes of its pods."""
    labels = "gateway.networking.k8s.io/gateway-name=waypoint"
    found, _ = mine.ask(lambda api: api.list(kinds.POD, "shop", labels=labels))
    return [each["spec"].get("nodeName", "") for each in found if "deletionTimestamp" not in each["metadata"]]


def test_load_grows_a_waypoint_its_end_shrinks_it_placement_moves_it_and_no_request_is_lost() -> None:
    with mesh(f"auto{os.getpid()}") as mine, ThreadPoolExecutor(1) as beside:
        mine.up("--nodes", "2")
        mine.apply(WORLD)
        mine.ready("shop", "web", "client")
        mine.captured("shop", "web", "client")
        mine.programmed("shop", "waypoint")
        address = mine.get(kinds.SERVICE, "web", "shop")["spec"]["clusterIP"]

        def load(rate: float, seconds: float) -> str:
            return mine.inside("client", LOAD, address, str(rate), str(seconds), namespace="shop").strip()

        until(lambda: load(1000, 0.001).endswith(" [] 0"), "a request passes the waypoint")
        much = beside.submit(load, 60.0, 12.0)
        until(lambda: replicas(mine) == 3, "it grows to its bound", 30)
        assert much.result().endswith(" [] 0"), "none is lost while proxies come"
        little = beside.submit(load, 5.0, 25.0)
        until(lambda: replicas(mine) == 1, "it shrinks", 40)
        until(lambda: len(serving(mine)) == 1, "to one proxy", 40)
        (elsewhere,) = {"node-1", "node-2"} - set(serving(mine))
        label = {"metadata": {"labels": {"plait.dev/node-class": "serverless"}}}
        mine.ask(lambda api: api.patch(kinds.NODE, elsewhere, label))
        moved = {"spec": {"infrastructure": {"annotations": {"plait.dev/placement": "serverless"}}}}
        mine.ask(lambda api: api.patch(kinds.GATEWAY, "waypoint", moved, "shop"))
        until(lambda: serving(mine) == [elsewhere], "it moves to a node of the class", 60)
        assert little.result().endswith(" [] 0"), "none is lost while proxies go and move"
