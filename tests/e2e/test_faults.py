"""Parts of a running mesh die: what must go on does, what died comes back by itself, what was refused is named."""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit.mesh import MANY, ONCE, PAIR, Mesh, mesh, talking, until
from kit.netlab import sniffing
from kit.rounds import rounds
from plait.local import processes as members
from plait.local.record import FORMS
from plait.resources import kinds
from plait.store.api import ApiError

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]


@pytest.fixture(scope="module", params=FORMS)
def mine(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    """The same faults in both forms of capture."""
    with mesh(f"faults{os.getpid()}") as running:
        running.up("--nodes", "2", "--capture", request.param)
        running.apply(PAIR)
        running.ready("duo", "client", "echo")
        running.enrol("duo")
        running.captured("duo", "client", "echo")
        yield running


@pytest.fixture
def service(mine: Mesh) -> str:
    return str(mine.get(kinds.SERVICE, "echo", "duo")["spec"]["clusterIP"])


@pytest.mark.parametrize("part", ["apiserver", "control", "node-1", "node-2"])
def test_killed_part_comes_back_and_neither_applications_nor_connections_notice(
    mine: Mesh, service: str, part: str
) -> None:
    applications = mine.application("client") | mine.application("echo")
    envoys = [mine.envoy("node-1"), mine.envoy("node-2")]
    old = mine.pid(part)
    with talking(mine, "client", service):
        mine.kill(old)
        assert mine.works("client", ONCE, service, "9000")
        until(lambda: mine.pid(part) not in (0, old), f"{part} started again")
        until(lambda: mine.plait("status").returncode == 0, "healthy again")
        assert mine.works("client", ONCE, service, "9000")
    assert applications <= mine.application("client") | mine.application("echo")
    assert [mine.envoy("node-1"), mine.envoy("node-2")] == envoys  # adopted, not started anew


@pytest.mark.reliability(number=4)
def test_new_connections_work_again_soon_after_envoy_was_killed(mine: Mesh, service: str) -> None:
    old = mine.envoy("node-1")
    applications = mine.application("echo")
    mine.kill(old)
    until(lambda: mine.works("client", ONCE, service, "9000"), "a connection through a new Envoy", 5.0)
    assert mine.envoy("node-1") != old and mine.application("echo") == applications


@pytest.mark.reliability(number=6)
def test_without_control_plane_everything_known_works_even_after_restarts(mine: Mesh, service: str) -> None:
    control, node, envoy = mine.pid("control"), mine.pid("node-1"), mine.envoy("node-1")
    echo = mine.address("echo")
    mine.kill(control, signal.SIGSTOP)
    try:
        assert mine.works("client", ONCE, service, "9000")
        assert mine.works("client", ONCE, echo, "9000")  # an address never asked for before
        mine.kill(node)
        mine.kill(envoy)
        until(lambda: mine.works("client", ONCE, service, "9000"), "served from disk", 15.0)
        mine.apply(PAIR.split("---")[1].replace("name: client", "name: late").replace("app: client", "app: late"))
        mine.captured("duo", "late")  # its identity is known on this node, so no authority is needed
    finally:
        mine.kill(control, signal.SIGCONT)
    keys = list((mine.layout.node("node-1") / "keys").iterdir())
    assert keys and all(key.stat().st_mode & 0o777 == 0o600 for key in keys)
    until(lambda: mine.works("late", ONCE, service, "9000"), "the new pod is known to everyone")


TUNNEL = (15008).to_bytes(2, "big")
SECRET = b"a word in clear"
KNOCKING = """
import socket, sys, time
while True:
    try:
        with socket.create_connection((sys.argv[1], 9000), 1) as s:
            s.settimeout(1); s.sendall(b"a word in clear\\n"); s.recv(99)
    except OSError: pass
    time.sleep(0.01)
"""
STARTING = """
apiVersion: v1
kind: Pod
metadata: {name: starting-%d, namespace: duo}
spec:
  nodeSelector: {kubernetes.io/hostname: node-1}
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: none, command: [/usr/bin/python3, -c, %s, "%s"]}]
"""
"""Its first act is to say the word, whatever of the mesh there is by then."""


@pytest.mark.reliability(number=2)
def test_nothing_leaves_in_clear_while_every_part_is_killed_in_any_order(
    mine: Mesh, service: str, record_property: Callable[[str, object], None]
) -> None:
    """The server takes plaintext, so only the client's side keeps it from being sent. Parts start again by themselves,
    so the order in which they come back is any, too. Closed is what was closed all the time: no frame has the word."""
    order, count, took = random.Random(20261128), rounds(2), []
    knocking = [mine.start("client", KNOCKING, address) for address in (service, mine.address("echo"))]
    try:
        with sniffing(mine.layout.netns("node-2")) as seen:
            for number in range(count):
                mine.apply(STARTING % (number, json.dumps(KNOCKING), mine.address("echo")))
                agents = [mine.pid(part) for part in ("relay", "apiserver", "control", "node-1", "node-2")]
                parts = [*agents, mine.envoy("node-1"), mine.envoy("node-2")]
                order.shuffle(parts)
                for pid in parts:
                    mine.kill(pid)
                    time.sleep(order.choice((0, 0, 0.05, 0.2)))
                took.append(until(lambda: mine.works("client", ONCE, service, "9000"), "connections again", 120))
                mine.captured("duo", f"starting-{number}")
                until(lambda: mine.plait("status").returncode == 0, "healthy again", 120)
        assert all(each.poll() is None for each in knocking)
    finally:
        for each in knocking:
            each.kill()
            each.communicate()
        for number in range(count):
            mine.plait("delete", "pod", f"starting-{number}", "-n", "duo")
    assert any(TUNNEL in packet for packet in seen), "tunnels (15008) were seen by the capture"
    assert not [packet for packet in seen if SECRET in packet]
    record_property(
        "figure",
        f"{mine.record.capture}: {count} rounds, 0 of {len(seen)} frames in clear, served again after "
        f"{statistics.median(took):.1f} s (at most {max(took):.1f})",
    )


@pytest.mark.reliability(number=9)
def test_nothing_is_lost_while_a_namespace_leaves_and_enters_the_mesh(mine: Mesh, service: str) -> None:
    load = mine.start("client", MANY, service, "9000", "12")
    time.sleep(0.5)
    mine.enrol("duo", None)
    mine.captured("duo", "client", "echo", value=False)
    time.sleep(1.0)
    mine.enrol("duo")
    mine.captured("duo", "client", "echo")
    out, err = load.communicate(timeout=60)
    done, lost = map(int, out.split())
    assert lost == 0 and done > 100, err


def test_a_pod_deleted_while_captured_leaves_no_namespace_no_process_no_listener(mine: Mesh) -> None:
    mine.apply(PAIR.split("---")[1].replace("name: client", "name: brief").replace("app: client", "app: brief"))
    mine.captured("duo", "brief")
    uid = mine.get(kinds.POD, "brief", "duo")["metadata"]["uid"]
    space = mine.layout.pod_netns(uid)
    until(lambda: bool(members.members([space])), "its process, which starts after the capture")
    inside = members.members([space])
    mine.ask(lambda api: api.delete(kinds.POD, "brief", "duo"))
    until(lambda: not space.exists(), "its namespace gone")
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in inside), "its processes gone")
    with pytest.raises(ApiError, match="not found"):
        mine.get(kinds.POD, "brief", "duo")


def test_wrong_manifests_are_refused_one_by_one_with_object_path_and_way_out(mine: Mesh) -> None:
    wrong = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: typo, namespace: duo}
spec: {acton: DENY}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: cidr, namespace: duo}
spec: {rules: [{from: [{source: {ipBlocks: [10.0.0.0/99]}}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: selector, namespace: duo}
spec:
  selector: {matchLabels: {app: one}}
  template:
    metadata: {labels: {app: other}}
    spec: {containers: [{name: c, image: none}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: fine, namespace: duo}
"""
    done = mine.plait("apply", "-f", "-", stdin=wrong)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for name, path in (("typo", "acton"), ("cidr", "ipBlocks"), ("selector", "selector")):
        (line,) = [line for line in done.stderr.splitlines() if f"/{name}" in line]
        assert path in line, done.stderr
    assert mine.get(kinds.CONFIG_MAP, "fine", "duo")  # the good one was not kept back


def test_an_unknown_image_is_told_on_the_pod_with_the_way_out(mine: Mesh) -> None:
    mine.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: strange, namespace: duo}\n"
        "spec: {containers: [{name: c, image: nobody/knows:1}]}\n"
    )

    def told() -> bool:
        status = mine.get(kinds.POD, "strange", "duo").get("status", {})
        waiting = [each["state"].get("waiting") or {} for each in status.get("containerStatuses", ())]
        return any("nobody/knows:1" in each.get("message", "") for each in waiting)

    until(told, "the reason on the pod")
    mine.ask(lambda api: api.delete(kinds.POD, "strange", "duo"))
