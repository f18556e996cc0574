"""A namespace moves from sidecars to ambient and back under load, with L7 policies bound: nothing lost or unjudged.

The command and the control plane are killed in the middle; a canary stops, and goes back.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from kit.mesh import PLAIT, Mesh, mesh, until
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
BY_SELECTOR = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: by-selector, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  action: DENY
  rules: [{to: [{operation: {paths: ["/secret"]}}]}]
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


@pytest.fixture(scope="module")
def mine() -> Iterator[Mesh]:
    with mesh(f"migr{os.getpid()}") as found:
        found.up("--nodes", "2")
        found.apply(WORLD)
        found.ready("duo", "client")
        found.captured("duo", "client")
        until_ready(found)
        yield found


@pytest.mark.reliability(number=9)
def test_there_with_everything_killed_in_the_middle_and_back(mine: Mesh) -> None:
    plan = json.loads(moved(mine, "plan", "shop", "--to", "ambient", "-o", "json"))
    assert [each["subject"] for each in plan["steps"] if each["verb"] == "restart"] == ["cart"]
    assert plan["creates_waypoint"] and plan["lost"] == [] and plan["judged"]["differing"] == []
    with judged(mine):
        killed_when(mine, "new pods are ambient")
        mine.kill(mine.pid("control"))
        assert "running" in moved(mine, "status", "shop")
        moved(mine, "apply", "shop", "--to", "ambient")
        assert modes(mine) == ["ambient", "ambient"]
        moved(mine, "rollback", "shop")
        assert modes(mine) == ["sidecar", "sidecar"]
    assert "rolled back" in moved(mine, "status", "shop")
    labels = mine.get(kinds.NAMESPACE, "shop")["metadata"]["labels"]
    assert labels["istio-injection"] == "enabled" and "istio.io/dataplane-mode" not in labels
    cart = mine.get(kinds.SERVICE, "cart", "shop")["metadata"]
    assert not cart.get("labels") and not cart.get("annotations")


def test_a_canary_stops_with_its_share_and_goes_back(mine: Mesh) -> None:
    with judged(mine):
        said = moved(mine, "apply", "shop", "--to", "ambient", "--canary", "5%")
        assert "canary: 1 of 2 pods are ambient" in said
        assert modes(mine).count("ambient") == 1
        moved(mine, "rollback", "shop")
        assert modes(mine) == ["sidecar", "sidecar"]


def test_advice_reckons_with_what_the_proxies_that_run_cost_and_says_so(mine: Mesh) -> None:
    with judged(mine):
        done = mine.plait("advise", "shop", "--seconds", "3", "-o", "json")
    (cart,) = json.loads(done.stdout)
    sidecar, waypoint = cart["units"]["sidecar"], cart["units"]["waypoint"]
    assert sidecar["memory"] == "measured" and 3 < sidecar["megabytes"] < 200
    assert cart["now"]["megabytes"] == pytest.approx(2 * sidecar["megabytes"])
    assert (sidecar["cpu"] == "measured") == (sidecar["request"] != 500.0), (
        "on a busy machine it may have too little to do"
    )
    assert (waypoint["memory"], waypoint["megabytes"]) == ("assumed", 14.0), "none runs"


def test_what_would_be_judged_differently_is_refused(mine: Mesh) -> None:
    """By selector it binds the pods, whose node proxy reads no HTTP."""
    mine.apply(BY_SELECTOR)
    done = mine.plait("migrate", "apply", "shop", "--to", "ambient")
    assert done.returncode == 1 and "would be lost" in done.stderr and "targetRefs" in done.stderr
    assert modes(mine) == ["sidecar", "sidecar"]


@contextlib.contextmanager
def judged(mine: Mesh) -> Iterator[None]:
    """Under load, every answer of which must be the right one."""
    address = mine.get(kinds.SERVICE, "cart", "shop")["spec"]["clusterIP"]
    load = mine.start("client", LOAD, address, namespace="duo")
    assert load.stdout is not None and load.stdout.readline() == "up\n"
    try:
        yield
    finally:
        load.terminate()
        out, _ = load.communicate(timeout=30)
    found = json.loads(out)
    assert found["log"] == []
    assert found["seen"]["/open"].keys() == {"200"} and found["seen"]["/denied"].keys() == {"403"}
    assert sum(found["seen"]["/open"].values()) > 100


def killed_when(mine: Mesh, words: str) -> None:
    """`apply` is killed as soon as it has said this: the next step is under way."""
    command = [*PLAIT, "migrate", "apply", "shop", "--to", "ambient", "--name", mine.name]
    environment = {**os.environ, "PLAIT_HOME": str(mine.home), "PYTHONUNBUFFERED": "1"}
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    try:
        assert any(words in line for line in running.stdout)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()


def moved(mine: Mesh, *words: str) -> str:
    done = mine.plait("migrate", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def until_ready(mine: Mesh) -> None:
    def state() -> bool:
        status = mine.get(kinds.DEPLOYMENT, "cart", "shop").get("status") or {}
        return bool(status.get("availableReplicas", 0) == 2)

    until(state, "deployment cart available")


def modes(mine: Mesh) -> list[str]:
    """Of the pods that live, in order."""
    pods, _ = mine.ask(lambda api: api.list(kinds.POD, "shop", labels="app=cart"))
    found = []
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        notes = pod["metadata"].get("annotations") or {}
        sidecar, captured = "sidecar.istio.io/status" in notes, "ambient.istio.io/redirection" in notes
        found.append("sidecar" if sidecar else "ambient" if captured else "none")
    return sorted(found)
