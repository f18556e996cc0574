"""The node proxy is replaced, killed and upgraded, and its agent is killed, under connections that must not notice."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.load import Running, load
from kit.mesh import ONCE, PAIR, Mesh, mesh, until
from kit.netlab import private_run
from plait.local.record import FORMS
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]
OUTSIDE = PAIR.replace("duo", "out").replace("name: client", "name: second").replace("app: client", "app: second")


@pytest.fixture(scope="module", params=FORMS)
def mine(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    """The same in both forms of capture."""
    with mesh(f"hot{os.getpid()}") as running:
        running.up("--nodes", "2", "--capture", request.param)
        running.apply(PAIR)
        running.apply(OUTSIDE)
        running.ready("duo", "client", "echo")
        running.ready("out", "second", "echo")
        running.enrol("duo")
        running.captured("duo", "client", "echo")
        yield running


@contextlib.contextmanager
def everything(mine: Mesh) -> Iterator[list[Running]]:
    """100 idle and 20 busy connections and 200 new ones a second: by tunnel, out of the mesh, into it."""
    service = mine.get(kinds.SERVICE, "echo", "duo")["spec"]["clusterIP"]
    outside, inside = mine.address("echo", "out"), mine.address("echo")
    with (
        load(mine, "client", service, 9000, idle=60, busy=12, rate=120) as tunnel,
        load(mine, "client", outside, 9000, idle=20, busy=4, rate=40) as leaving,
        load(mine, "second", inside, 9000, idle=20, busy=4, rate=40, namespace="out") as entering,
    ):
        yield [tunnel, leaving, entering]


def nothing_broke(loads: list[Running]) -> None:
    print("\n".join(json.dumps(each.found) for each in loads))
    for each in loads:
        assert each.found["broken"] == [] and each.found["lost"] == []
    assert sum(each.found["idle"] for each in loads) == 100
    assert sum(each.found["busy"] for each in loads) == 20


def old_ones(mine: Mesh) -> list[Path]:
    return [file for node in ("node-1", "node-2") for file in mine.layout.node(node).glob("old-*")]


@pytest.mark.reliability(number=3)
def test_no_connection_notices_two_hot_restarts_in_a_row_and_old_generations_end(mine: Mesh) -> None:
    pids = [mine.envoy("node-1"), mine.envoy("node-2")]
    left: list[int] = []
    with everything(mine) as loads:
        for _ in range(2):
            done = mine.plait("proxy", "restart", "--all", "-o", "json")
            print(done.stdout, done.stderr)
            assert done.returncode == 0, done.stderr
            after = [mine.envoy("node-1"), mine.envoy("node-2")]
            rows = json.loads(done.stdout)
            assert [row["old pid"] for row in rows] == pids and [row["pid"] for row in rows] == after
            left.append(sum(row["connections left there"] for row in rows))
            pids = after
            time.sleep(1.0)  # each generation gets some of the load
        assert len([file for file in old_ones(mine) if file.suffix == ".pid"]) >= 2  # those of the first round
    nothing_broke(loads)
    assert left[0] >= 120  # the long connections stayed where they were
    assert sum(each.found["done"] for each in loads) > 200
    until(lambda: not old_ones(mine), "old generations end with their last connection")
    assert [mine.envoy("node-1"), mine.envoy("node-2")] == pids


def removed(mine: Mesh, node: str) -> int:
    """How many listeners this node's Envoy has ever been told to remove."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(5)
        asking.connect(str(mine.layout.node(node) / "admin.sock"))
        asking.sendall(
            b"GET /stats?filter=listener_manager.listener_removed HTTP/1.1\r\nHost: envoy\r\nConnection: close\r\n\r\n"
        )
        page = b"".join(iter(lambda: asking.recv(65536), b""))
    return int(page.decode().rpartition("listener_manager.listener_removed: ")[2].split()[0])


def test_a_killed_agent_is_not_noticed_its_successor_takes_nothing_from_envoy(mine: Mesh) -> None:
    nodes = ("node-1", "node-2")
    envoys, counted = [mine.envoy(node) for node in nodes], [removed(mine, node) for node in nodes]
    with everything(mine) as loads:
        for node in nodes:
            old = mine.pid(node)
            mine.kill(old)
            until(lambda node=node, old=old: mine.pid(node) not in (0, old), f"{node} started again")
        until(lambda: mine.plait("status").returncode == 0, "healthy again")
        mine.captured("duo", "client", "echo")
        time.sleep(1.0)
    nothing_broke(loads)
    assert [mine.envoy(node) for node in nodes] == envoys  # adopted
    assert [removed(mine, node) for node in nodes] == counted


@pytest.mark.reliability(number=34)
def test_an_agent_that_finds_an_outdated_envoy_replaces_it_without_ending_a_connection(tmp_path: Path) -> None:
    private_run()
    command = ["unshare", "-n", sys.executable, "-m", "kit.outdated", str(tmp_path)]
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    seen = json.loads(done.stdout)
    assert seen == {"same: adopted": True, "changed: adopted": False, "connection lives": True, "old": [True]}


@pytest.mark.reliability(number=4)
def test_new_connections_work_soon_after_envoy_was_killed_and_other_nodes_lose_nothing(mine: Mesh) -> None:
    """Pods of one node talk to each other on node-2 while the Envoy of node-1 dies."""
    mine.apply(PAIR.split("---")[1].replace("name: client", "name: near").replace("node-1", "node-2"))
    mine.ready("duo", "near")
    mine.captured("duo", "near")
    echo, old = mine.address("echo"), mine.envoy("node-1")
    with load(mine, "near", echo, 9000, idle=20, busy=5, rate=50) as near:
        mine.kill(old)
        took = until(lambda: mine.works("client", ONCE, echo, "9000"), "a connection through a new Envoy", 5.0)
        until(lambda: mine.envoy("node-1") != old, "the new Envoy is noted")
        time.sleep(1.0)
    print(json.dumps(near.found), f"new connections after {took:.2f} s")
    assert near.found["broken"] == [] and near.found["lost"] == []
