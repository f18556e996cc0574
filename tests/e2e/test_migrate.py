"""A namespace moves from sidecars to ambient and back under load, with an L7 policy bound: nothing lost or unjudged."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from kit.mesh import Mesh, mesh
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(420),
    pytest.mark.skipif(os.geteuid() != 0, reason="sidecars are known by their user: needs root"),
]
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
metadata: {name: client, namespace: duo, labels: {app: client}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: none, command: [/bin/sleep, infinity]}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {selector: {app: cart}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  replicas: 2
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      terminationGracePeriodSeconds: 15
      containers:
        - name: c
          image: plait/witness
          lifecycle: {preStop: {sleep: {seconds: 4}}}
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-denied, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: cart}]
  action: DENY
  rules: [{to: [{operation: {paths: ["/denied*"]}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: only-duo, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: cart}]
  action: ALLOW
  rules: [{from: [{source: {principals: ["cluster.local/ns/duo/sa/default"]}}]}]
"""
LOAD = """
import collections, json, signal, socket, sys, time
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
seen = {"/open": collections.Counter(), "/denied": collections.Counter()}
log = []
def ask(path):
    with socket.create_connection((sys.argv[1], 80), 5) as s:
        s.settimeout(5)
        s.sendall(f"GET {path} HTTP/1.1\\r\\nhost: cart\\r\\nconnection: close\\r\\n\\r\\n".encode())
        data = b""
        while b"\\r\\n\\r\\n" not in data and (more := s.recv(65536)):
            data += more  # the proxy of a refusal closes a second later: do not wait for it
    return data[9:12].decode() or "closed", data[-200:].decode(errors="replace")
print("up", flush=True)
while not stop:
    for path, counts in seen.items():
        try:
            found, said = ask(path)
        except OSError as error:
            found, said = type(error).__name__, str(error)
        counts[found] += 1
        if found != {"/open": "200", "/denied": "403"}[path]:
            log.append((round(time.time(), 2), path, found, said))
        time.sleep(0.01)
print(json.dumps({"seen": seen, "log": log[:20]}))
"""


def moved(mine: Mesh, *words: str) -> str:
    done = mine.plait("migrate", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_and_back_under_load_nothing_is_lost_and_nothing_unjudged() -> None:
    with mesh(f"migr{os.getpid()}") as mine:
        mine.up("--nodes", "2")
        mine.apply(WORLD)
        mine.ready("duo", "client")
        mine.captured("duo", "client")
        until_ready(mine)
        address = mine.get(kinds.SERVICE, "cart", "shop")["spec"]["clusterIP"]
        plan = json.loads(moved(mine, "plan", "shop", "--to", "ambient", "-o", "json"))
        assert [each["subject"] for each in plan["steps"] if each["verb"] == "restart"] == ["cart"]
        assert plan["creates_waypoint"] and plan["lost"] == []
        load = mine.start("client", LOAD, address, namespace="duo")
        try:
            assert load.stdout is not None and load.stdout.readline() == "up\n"
            print(moved(mine, "apply", "shop", "--to", "ambient"))
            assert modes(mine) == {"ambient"}
            print(moved(mine, "rollback", "shop"))
            assert modes(mine) == {"sidecar"}
        finally:
            load.terminate()
            out, _ = load.communicate(timeout=30)
        found = json.loads(out)
        assert found["log"] == []
        assert found["seen"]["/open"].keys() == {"200"} and found["seen"]["/denied"].keys() == {"403"}
        assert sum(found["seen"]["/open"].values()) > 100
        assert "rolled back" in moved(mine, "status", "shop")
        labels = mine.get(kinds.NAMESPACE, "shop")["metadata"]["labels"]
        assert labels["istio-injection"] == "enabled" and "istio.io/dataplane-mode" not in labels


def until_ready(mine: Mesh) -> None:
    words = ["kubectl", "wait", "-n", "shop", "deployment/cart", "--for=condition=Available", "--timeout=60s"]
    environment = {**os.environ, "KUBECONFIG": str(mine.layout.kubeconfig)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def modes(mine: Mesh) -> set[str]:
    pods, _ = mine.ask(lambda api: api.list(kinds.POD, "shop", labels="app=cart"))
    found = set()
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        notes = pod["metadata"].get("annotations") or {}
        sidecar, captured = "sidecar.istio.io/status" in notes, "ambient.istio.io/redirection" in notes
        found.add("sidecar" if sidecar else "ambient" if captured else "none")
    return found
