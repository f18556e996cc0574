"""A waypoint that nobody uses goes; the first requests after that wait for it, and none is lost; in the pool too."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from kit.behind_waypoint import CLIENT, NAMESPACE, PATIENT_SERVER, SERVICE, together
from kit.mesh import Mesh, mesh, until
from plait.base.wellknown import POOL_NAMESPACE
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
  infrastructure: {annotations: {plait.dev/scale-to-zero: 3s}}
"""
BESIDE = """
apiVersion: v1
kind: Pod
metadata: {name: beside, namespace: shop, labels: {app: beside, sidecar.istio.io/inject: "true"}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: busybox, command: [sleep, "1000"]}]
"""
WORLD = together(NAMESPACE, WAYPOINT, SERVICE, PATIENT_SERVER, CLIENT, BESIDE)
POLICIES = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: by-address, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: web}]
  action: DENY
  rules:
  - from: [{source: {notIpBlocks: [CLIENTS]}}]
  - to: [{operation: {paths: ["/secret*"]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: at-the-door, namespace: shop}
spec:
  selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: waypoint}}
  action: DENY
  rules: [{from: [{source: {notIpBlocks: [CLIENTS]}}]}]
"""
QUOTA = """
apiVersion: v1
kind: ConfigMap
metadata: {name: pool, namespace: plait-managed}
data: {pool: "waypoints: 1"}
"""
SECOND = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: second, namespace: shop}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
  infrastructure: {annotations: {plait.dev/placement: managed}}
"""
BURST = """
import http.client, sys, threading, time
lost, ends, began = [], time.monotonic() + float(sys.argv[3]), time.monotonic()
answered = []
def ask():
    connection = http.client.HTTPConnection(sys.argv[1], 80, timeout=25)
    try:
        connection.request("GET", sys.argv[2])
        answer = connection.getresponse()
        answer.read()
        answered.append(time.monotonic() - began)
        if answer.status != int(sys.argv[4]) or answer.getheader("server") != "istio-envoy":
            lost.append((answer.status, answer.getheader("server")))
    except OSError as error:
        lost.append(repr(error))
    connection.close()
threads = []
while time.monotonic() < ends:
    threads.append(threading.Thread(target=ask))
    threads[-1].start()
    time.sleep(0.01)
[each.join() for each in threads]
print(len(threads), round(min(answered, default=-1.0), 3), lost[:3], len(lost))
"""


SPOOF = """
import socket, struct, sys
held = socket.create_connection((sys.argv[1], 15009), timeout=10)
ends = socket.inet_aton(sys.argv[2]) + socket.inet_aton(sys.argv[1]) + struct.pack("!HH", 1, 15008)
held.sendall(b"\\r\\n\\r\\n\\0\\r\\nQUIT\\n\\x21\\x11\\0\\x0c" + ends)
try:
    print("closed" if held.recv(1) == b"" else "answered")
except ConnectionResetError:
    print("closed")
"""


def burst(
    mine: Mesh, address: str, path: str, seconds: float, status: int, pod: str = "client"
) -> tuple[int, float, str]:
    """Requests at about 100 a second: how many, when the first was answered, and what was lost."""
    said = mine.inside(pod, BURST, address, path, str(seconds), str(status), namespace="shop").strip()
    sent, first, lost = said.split(" ", 2)
    return int(sent), float(first), lost


def replicas(mine: Mesh) -> int:
    return int(mine.get(kinds.DEPLOYMENT, "waypoint", "shop")["spec"]["replicas"])


def pods(mine: Mesh, namespace: str = "shop") -> list[dict[str, Any]]:
    labels = "gateway.networking.k8s.io/gateway-name=waypoint"
    found, _ = mine.ask(lambda api: api.list(kinds.POD, namespace, labels=labels))
    return list(found)


def place(mine: Mesh, where: str) -> None:
    body = {"spec": {"infrastructure": {"annotations": {"plait.dev/placement": where}}}}
    mine.ask(lambda api: api.patch(kinds.GATEWAY, "waypoint", body, "shop"))


def moves(mine: Mesh, address: str, where: str, left: str, there: str) -> None:
    """It goes somewhere else under load, and nothing is lost."""
    asking = mine.start("client", BURST, address, "/", "6", "200", namespace="shop")
    time.sleep(0.5)
    place(mine, where)
    until(lambda: bool(pods(mine, there)) and not pods(mine, left), f"it runs in {there} only", 90)
    out, err = asking.communicate(timeout=60)
    assert asking.returncode == 0, err
    assert out.strip().split(" ", 2)[2] == "[] 0", out


def programmed(mine: Mesh, gateway: str) -> tuple[str, str]:
    conditions = mine.get(kinds.GATEWAY, gateway, "shop").get("status", {}).get("conditions", ())
    return next(((c["status"], c["reason"]) for c in conditions if c["type"] == "Programmed"), ("", ""))


def test_a_waypoint_sleeps_and_the_first_requests_wake_it_and_none_is_lost() -> None:
    with mesh(f"zero{os.getpid()}") as mine:
        mine.up("--nodes", "2")
        mine.apply(WORLD)
        mine.ready("shop", "web", "client", "beside")
        mine.captured("shop", "web", "client")
        mine.programmed("shop", "waypoint")
        clients = [mine.get(kinds.POD, name, "shop")["status"]["podIP"] for name in ("client", "beside")]
        mine.apply(POLICIES.replace("CLIENTS", ", ".join(clients)))
        address = mine.get(kinds.SERVICE, "web", "shop")["spec"]["clusterIP"]
        until(lambda: burst(mine, address, "/", 0.01, 200)[2] == "[] 0", "a request passes the waypoint")
        for pod in ("client", "beside"):
            until(lambda: replicas(mine) == 0 and not pods(mine), "nobody uses it: it sleeps", 60)
            assert programmed(mine, "waypoint") == ("True", "Programmed")
            # The policy lets the clients' addresses alone in: that they are served says that these were kept.
            sent, _, lost = burst(mine, address, "/", 3.0, 200, pod)
            assert sent > 100
            assert lost == "[] 0"
            assert replicas(mine) == 1
        assert burst(mine, address, "/secret", 0.1, 403)[2] == "[] 0"
        (proxy,) = [each["status"]["podIP"] for each in pods(mine)]
        assert mine.inside("client", SPOOF, proxy, "192.0.2.1", namespace="shop").strip() == "closed"
        mine.kill(mine.pid("control"))
        until(lambda: replicas(mine) == 0 and not pods(mine), "a new control plane lets it sleep too", 60)
        assert burst(mine, address, "/", 1.0, 200)[2] == "[] 0", "and wakes it"
        in_the_pool(mine, address)


def in_the_pool(mine: Mesh, address: str) -> None:
    """The same waypoint, managed: it comes under load, judges as before, sleeps and wakes, and goes without a trace."""
    moves(mine, address, "managed", "shop", POOL_NAMESPACE)
    (proxy,) = pods(mine, POOL_NAMESPACE)
    assert proxy["spec"]["serviceAccountName"] == "shop.waypoint"
    assert burst(mine, address, "/secret", 0.1, 403)[2] == "[] 0"
    assert mine.inside("client", SPOOF, proxy["status"]["podIP"], "192.0.2.1", namespace="shop").strip() == "closed"
    mine.apply(QUOTA)
    mine.apply(SECOND)
    until(lambda: programmed(mine, "second") == ("False", "NoResources"), "there is no room for a second one")
    until(lambda: not pods(mine, POOL_NAMESPACE), "nobody uses it: it sleeps there too", 60)
    assert programmed(mine, "waypoint") == ("True", "Programmed")
    assert burst(mine, address, "/", 1.0, 200)[2] == "[] 0", "and wakes"
    mine.ask(lambda api: api.delete(kinds.GATEWAY, "second", "shop"))
    moves(mine, address, "node", POOL_NAMESPACE, "shop")
    until(lambda: not left_in_pool(mine), "nothing is left in the pool")


def left_in_pool(mine: Mesh) -> list[str]:
    found = []
    for kind in (kinds.POD, kinds.DEPLOYMENT, kinds.REPLICA_SET, kinds.SERVICE_ACCOUNT):
        items, _ = mine.ask(lambda api, kind=kind: api.list(kind, POOL_NAMESPACE))
        found += [f"{kind} {each['metadata']['name']}" for each in items if each["metadata"]["name"] != "default"]
    return found
