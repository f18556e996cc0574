"""A waypoint comes before sidecars, makes way for another and goes, by a mere label under load: nothing lost or served
that is denied, also when the control plane is killed meanwhile."""

from __future__ import annotations

import json
import os
import time

import pytest

from kit.mesh import Mesh, mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="sidecars are known by their user: needs root"),
]
AFTER = 2.0
"""Seconds after each change: its end must be as quiet as its beginning."""
WORLD = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: duo, labels: {istio.io/dataplane-mode: ambient}}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: duo}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: none, command: [/bin/sleep, infinity]}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {selector: {app: cart}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: cart, namespace: shop, labels: {app: cart}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - {name: c, image: plait/witness, readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop, labels: {istio.io/waypoint-for: service}}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: other, namespace: shop, labels: {istio.io/waypoint-for: service}}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-denied, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: cart}]
  action: DENY
  rules: [{to: [{operation: {paths: ["/denied*"]}}]}]
"""
LOAD = """
import collections, json, signal, socket, sys, time
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
seen = {"/open": collections.Counter(), "/denied": collections.Counter()}
def ask(path):
    with socket.create_connection((sys.argv[1], 80), 10) as s:
        s.settimeout(10)
        s.sendall(f"GET {path} HTTP/1.1\\r\\nhost: cart\\r\\nconnection: close\\r\\n\\r\\n".encode())
        data = b""
        while b"\\r\\n\\r\\n" not in data and (more := s.recv(65536)):
            data += more  # the proxy of a refusal closes a second later: do not wait for it
    return data[9:12].decode() or "closed"
print("up", flush=True)
while not stop:
    for path, counts in seen.items():
        try:
            counts[ask(path)] += 1
        except OSError as error:
            counts[type(error).__name__] += 1
        time.sleep(0.01)
print(json.dumps(seen))
"""


@pytest.mark.reliability(number=9)
def test_a_label_moves_policies_between_sidecars_and_waypoints_without_a_gap() -> None:
    with mesh(f"over{os.getpid()}") as mine:
        mine.up("--nodes", "2")
        mine.apply(WORLD)
        mine.ready("duo", "client")
        mine.ready("shop", "cart")
        mine.captured("duo", "client")
        mine.programmed("shop", "waypoint")
        mine.programmed("shop", "other")
        address = mine.get(kinds.SERVICE, "cart", "shop")["spec"]["clusterIP"]
        loads = [mine.start("client", LOAD, address, namespace="duo") for _ in range(3)]
        try:
            for load in loads:
                assert load.stdout is not None and load.stdout.readline() == "up\n"
            for name in ("waypoint", "other", None):
                label(mine, name)
                if name == "waypoint":  # whoever comes back goes on with it
                    until(lambda: conditions(mine) != [], "the change has begun")
                    mine.kill(mine.pid("control"))
                until(
                    lambda name=name: told(mine, name),
                    f"every proxy knows that cart is served by {name or 'its sidecar'}",
                )
                time.sleep(AFTER)
        finally:
            for load in loads:
                load.terminate()
            found = [json.loads(load.communicate(timeout=30)[0]) for load in loads]
        assert [each["/open"].keys() for each in found] == [{"200"}] * 3, found
        assert [each["/denied"].keys() for each in found] == [{"403"}] * 3, found


def label(mine: Mesh, waypoint: str | None) -> None:
    body = {"metadata": {"labels": {"istio.io/use-waypoint": waypoint}}}
    mine.ask(lambda api: api.patch(kinds.SERVICE, "cart", body, "shop"))


def told(mine: Mesh, waypoint: str | None) -> bool:
    """The condition says it when every proxy has acknowledged who serves."""
    return conditions(mine) == ([("True", f"bound to waypoint shop/{waypoint}")] if waypoint else [])


def conditions(mine: Mesh) -> list[tuple[str, str]]:
    found = mine.get(kinds.SERVICE, "cart", "shop").get("status", {}).get("conditions", ())
    return [(each["status"], each["message"]) for each in found if each["type"] == "istio.io/WaypointBound"]
