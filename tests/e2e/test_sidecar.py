"""Pods with sidecars on the wire: they start captured, go without a lost request, and outlive their node's agent."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import pytest

from kit import sidecars
from kit.mesh import Mesh, mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="sidecars are known by their user: needs root"),
]
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: shop}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: c, image: python, command: [python3, -c, "import urllib.request as u; u.urlopen('http://HOST/')"]}
"""
FAULT = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
  - match: [{uri: {prefix: /broken}}]
    fault: {abort: {httpStatus: 555, percentage: {value: 100}}}
    route: [{destination: {host: web}}]
  - route: [{destination: {host: web}}]
"""
SCOPE = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: narrow, namespace: shop}
spec:
  workloadSelector: {labels: {app: client}}
  egress: [{hosts: ["./web.shop.svc.cluster.local"]}]
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
"""
PREFIX = "traffic.sidecar.istio.io/"
UNCAPTURED = {"sidecar.istio.io/interceptionMode": "NONE"}
TPROXY = {"sidecar.istio.io/interceptionMode": "TPROXY"}


@pytest.fixture(scope="module")
def mine() -> Iterator[Mesh]:
    with mesh(f"sc{os.getpid()}") as made:
        made.up("--nodes", "2")
        made.apply(sidecars.NAMESPACE)
        made.apply(sidecars.deployment("web", 2, pause=3))
        made.apply(sidecars.client())
        made.ready("shop", "client")
        sidecars.answers(made, "web")
        yield made


def replaced(mine: Mesh, before: set[str], replicas: int = 2) -> bool:
    pods = sidecars.running(mine, "web")
    ready = [each for each in pods if sidecars.is_ready(each) and each["metadata"]["uid"] not in before]
    return len(pods) == len(ready) == replicas


@pytest.mark.reliability(number=1)
def test_a_job_with_a_sidecar_calls_others_and_ends(mine: Mesh) -> None:
    mine.apply(JOB.replace("HOST", sidecars.cluster_ip(mine, "web")))

    def done() -> bool:
        return bool(mine.get(kinds.JOB, "once", "shop").get("status", {}).get("succeeded"))

    until(done, "the job ends")
    (pod,), _ = mine.ask(lambda api: api.list(kinds.POD, "shop", labels="job-name=once"))
    assert pod["spec"]["initContainers"][0]["name"] == "istio-proxy"
    assert pod["status"]["phase"] == "Succeeded"


@pytest.mark.reliability(number=11)
def test_deletion_and_a_rolling_restart_under_load_lose_nothing(mine: Mesh) -> None:
    victim = sidecars.running(mine, "web")[0]["metadata"]["name"]
    with sidecars.load(mine, sidecars.cluster_ip(mine, "web")) as found:
        time.sleep(1)
        mine.ask(lambda api: api.delete(kinds.POD, victim, "shop"))
        until(lambda: len(sidecars.running(mine, "web")) == 2, "another pod")
        until(lambda: all(map(sidecars.is_ready, sidecars.running(mine, "web"))), "both are ready")
        before = {each["metadata"]["uid"] for each in sidecars.running(mine, "web")}
        again = {"spec": {"template": {"metadata": {"annotations": {"restarted": "1"}}}}}
        mine.ask(lambda api: api.patch(kinds.DEPLOYMENT, "web", again, "shop"))
        until(lambda: replaced(mine, before), "all replicas are new")
        time.sleep(1)
    assert found["sent"] > 200
    assert found["lost"] == [{}, {}]


def test_a_transparent_sidecar_shows_the_application_its_clients_address(mine: Mesh) -> None:
    for text in (sidecars.server("clear", "node-2", annotations=TPROXY), sidecars.PLAIN, sidecars.STRICT):
        mine.apply(text)
    mine.ready("shop", "clear", "plain")
    sidecars.answers(mine, "clear")
    host, client = sidecars.cluster_ip(mine, "clear"), mine.address("client", "shop")
    said = json.loads(sidecars.ask(mine, host)[2])
    assert said["peer"] == client
    assert "spiffe://cluster.local/ns/shop/sa/default" in said["headers"]["x-forwarded-client-cert"]
    web = json.loads(sidecars.ask(mine, sidecars.cluster_ip(mine, "web"))[2])
    assert web["peer"] == "127.0.0.6", "REDIRECT hides it"
    # Captured all the same: what has no identity is refused, from outside and not from within.
    assert sidecars.ask(mine, mine.address("clear", "shop"), 8000, whence="plain")[0] == 0
    status, _, text = sidecars.ask(mine, host, whence="clear")
    assert status == 200 and "x-forwarded-client-cert" in json.loads(text)["headers"], "out and in again"


def test_sidecars_speak_istios_tls_among_each_other_and_tunnels_with_ambient_pods(mine: Mesh) -> None:
    mine.apply(sidecars.ambient("calm", "node-1"))
    mine.apply(sidecars.server("clear", "node-2", annotations=TPROXY))
    mine.ready("shop", "calm", "clear")
    mine.captured("shop", "calm")
    for whence, to in (("client", "calm"), ("calm", "clear"), ("client", "web")):
        sidecars.answers(mine, to, whence=whence)
    # The sidecar client is known by its certificate on both ways.
    out = mine.address("calm", "shop")
    assert sidecars.peers(mine, "client") >= {(out, 15008)}, "a tunnel to the ambient pod"
    assert not {port for host, port in sidecars.peers(mine, "client") if host != out} & {15008}, "to sidecars none"
    address = mine.address("clear", "shop")
    assert (address, 15008) in sidecars.peers(mine, "calm")
    said = json.loads(sidecars.ask(mine, sidecars.cluster_ip(mine, "clear"), whence="calm")[2])
    assert said["peer"] == out, "also out of a tunnel the application sees its client"


def test_what_annotations_exclude_passes_by_the_proxy(mine: Mesh) -> None:
    web = sidecars.cluster_ip(mine, "web")
    notes = {f"{PREFIX}excludeInboundPorts": "8000", f"{PREFIX}excludeOutboundIPRanges": f"{web}/32"}
    for text in (sidecars.server("open", "node-2", annotations=notes), sidecars.PLAIN, sidecars.STRICT):
        mine.apply(text)
    mine.ready("shop", "open", "plain")
    until(lambda: sidecars.ask(mine, web, whence="plain")[0] == 0, "STRICT is in force")
    assert sidecars.ask(mine, mine.address("open", "shop"), 8000, whence="plain")[0] == 200, "nobody is asked who he is"
    mine.apply(sidecars.ambient("calm", "node-1"))
    sidecars.answers(mine, "calm", whence="open")
    until(lambda: sidecars.ask(mine, web, whence="open")[0] == 0, "without its proxy it has no identity")


def test_nothing_is_captured_in_mode_none_and_the_proxys_own_listeners_serve(mine: Mesh) -> None:
    for text in (sidecars.server("bare", "node-2", annotations=UNCAPTURED), sidecars.PLAIN, sidecars.STRICT):
        mine.apply(text)
    mine.ready("shop", "bare", "plain")
    web = sidecars.cluster_ip(mine, "web")
    until(lambda: sidecars.ask(mine, web, whence="plain")[0] == 0, "STRICT is in force")
    assert sidecars.ask(mine, web, whence="bare")[0] == 0, "straight out it has no identity"
    status, _, text = sidecars.ask(mine, "127.0.0.1", 80, "http://web.shop/", whence="bare")
    assert status == 200 and "spiffe://cluster.local/ns/shop" in json.loads(text)["headers"]["x-forwarded-client-cert"]
    sidecars.answers(mine, "bare")
    assert (mine.address("bare", "shop"), 15008) in sidecars.peers(mine, "client"), "its proxy takes tunnels in"
    assert sidecars.ask(mine, mine.address("bare", "shop"), 8000, whence="plain")[0] == 200, "and nobody else is asked"


def test_a_sidecar_resource_bounds_what_a_proxy_holds(mine: Mesh) -> None:
    mine.apply(sidecars.service("other"))
    until(lambda: "outbound|80||other.shop.svc.cluster.local" in sidecars.clusters(mine, "client"), "all is held")
    mine.apply(SCOPE)
    other, web = (sidecars.cluster_ip(mine, name) for name in ("other", "web"))
    until(lambda: sidecars.services(mine, "client") == {"web.shop.svc.cluster.local"}, "one service is held")
    assert sidecars.ask(mine, web)[0] == 200
    assert sidecars.ask(mine, other)[:2] == (502, "istio-envoy"), "what is out of scope is not reached"
    mine.plait("delete", "sidecars.networking.istio.io", "narrow", "-n", "shop")
    until(lambda: "other.shop.svc.cluster.local" in sidecars.services(mine, "client"), "all is held again")


def test_sidecars_serve_while_their_agents_are_killed_and_hear_the_next_one(mine: Mesh) -> None:
    address = sidecars.cluster_ip(mine, "web")
    with sidecars.load(mine, address) as found:
        time.sleep(0.5)
        for node in ("node-1", "node-2"):
            old = mine.pid(node)
            mine.kill(old)
            until(lambda node=node, old=old: mine.pid(node) != old, f"another agent of {node}")
        mine.apply(FAULT)
        until(lambda: sidecars.ask(mine, address, path="/broken")[0] == 555, "a new route by the new agent")
    assert found["sent"] > 40
    assert found["lost"] == [{}, {}]
