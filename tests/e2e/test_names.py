"""Names of captured pods: what the mesh answers, what goes on to the nameserver that was asked, and who decides.

A whole mesh in each form of capture; questions are put with sockets from inside pods, to nameservers of the test's own
choice.
"""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator

import pytest

from kit.mesh import PAIR, Mesh, mesh, until
from kit.names import ASK, SERVE
from kit.netlab import run
from plait.local.record import FORMS
from plait.resources import kinds

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]

MORE = """
apiVersion: v1
kind: Service
metadata: {name: members, namespace: duo}
spec: {clusterIP: None, selector: {app: echo}, ports: [{port: 9000}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: stated, namespace: duo}
spec:
  hosts: [stated.example.test]
  addresses: [198.51.100.7]
  ports: [{number: 9000, name: tcp, protocol: TCP}]
  resolution: NONE
---
apiVersion: v1
kind: Pod
metadata:
  name: apart
  namespace: duo
  annotations: {ambient.istio.io/dns-capture: "false"}
spec:
  nodeSelector: {kubernetes.io/hostname: node-1}
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: none, command: [/bin/sleep, infinity]}]
"""

WEB = "echo.duo.svc.cluster.local"


@pytest.fixture(scope="module", params=FORMS)
def duo(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    with mesh(f"names-{request.param}") as mine:
        mine.up("--capture", request.param)
        mine.apply(PAIR + "---" + MORE)
        mine.ready("duo", "client", "echo", "apart")
        mine.enrol("duo")
        mine.captured("duo", "client", "echo", "apart")
        yield mine


def in_pod(mesh: Mesh) -> bool:
    return mesh.record.capture == "in-pod"


def asked(mesh: Mesh, name: str, how: str = "udp", server: str = "", pod: str = "client") -> tuple[int, list[str]]:
    where = server or str(mesh.record.plan.dns_service)
    code, addresses = json.loads(mesh.inside(pod, ASK, where, name, how))
    return code, addresses


@pytest.mark.parametrize("how", ["udp", "tcp"])
def test_services_members_and_hosts_are_answered_whichever_nameserver_is_asked(duo: Mesh, how: str) -> None:
    vip = duo.get(kinds.SERVICE, "echo", "duo")["spec"]["clusterIP"]
    nobody = "192.0.2.1"  # no such nameserver: only the mesh's resolver can have answered
    for name in (WEB, "echo.duo.svc", "echo.duo", "echo"):
        assert asked(duo, name, how, nobody) == (0, [vip])
    assert asked(duo, "members.duo.svc.cluster.local", how, nobody) == (0, [duo.address("echo")])
    assert asked(duo, "stated.example.test", how, nobody) == (0, ["198.51.100.7"])
    assert asked(duo, "stated.example.test.duo.svc.cluster.local", how, nobody) == (0, ["198.51.100.7"])


def test_the_applications_own_resolver_finds_names_by_its_search_path(duo: Mesh) -> None:
    named = ("--name", duo.name)  # what the kit appends are then words for the shell
    done = duo.plait("exec", "-n", "duo", *named, "client", "--", "sh", "-c", "getent hosts echo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert duo.get(kinds.SERVICE, "echo", "duo")["spec"]["clusterIP"] in done.stdout


@pytest.mark.parametrize("how", ["udp", "tcp"])
def test_other_names_go_on_to_the_nameserver_that_was_asked_in_the_pods_own_name(duo: Mesh, how: str) -> None:
    server = duo.start("echo", SERVE, "0.0.0.0")
    try:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        assert asked(duo, "anything.example.com", how, duo.address("echo")) == (0, ["192.0.2.53"])
        assert server.stdout.readline().split() == [how, duo.address("client")]
        assert asked(duo, WEB, how, duo.address("echo"))[1] != ["192.0.2.53"]
    finally:
        server.kill()
        server.communicate()


def test_names_of_the_cluster_that_only_its_own_nameserver_knows_are_still_answered(duo: Mesh) -> None:
    dashed = duo.address("echo").replace(".", "-")
    assert asked(duo, f"{dashed}.members.duo.svc.cluster.local") == (0, [duo.address("echo")])
    assert asked(duo, "nobody.duo.svc.cluster.local") == (3, [])


def test_a_nameserver_that_does_not_answer_is_a_failure_not_a_silence(duo: Mesh) -> None:
    assert asked(duo, "anything.example.com", "udp", "192.0.2.1") == (2, [])


def test_a_pod_may_keep_its_names_to_itself(duo: Mesh) -> None:
    if in_pod(duo):
        saved = run("nsenter", f"--net={duo.space('apart')}", "iptables-save")
        assert "15053" not in saved and "15001" in saved
    else:
        saved = run("nsenter", f"--net={duo.layout.netns('node-1')}", "ipset", "save")
        one = duo.address("apart")
        assert f"add ztunnel-dns-ips {one}" not in saved and f"add ztunnel-pods-ips {one}" in saved
    assert asked(duo, WEB, pod="apart")[0] == 0, "the cluster's nameserver answers"


def test_rules_and_resolver_are_repaired(duo: Mesh) -> None:
    where, chain = (
        (duo.space("client"), "ISTIO_OUTPUT") if in_pod(duo) else (duo.layout.netns("node-1"), "ztunnel-PREROUTING")
    )
    run("nsenter", f"--net={where}", "iptables", "-t", "nat", "-F", chain)
    until(lambda: "15053" in run("nsenter", f"--net={where}", "iptables-save", "-t", "nat"), "the rules are back")
    assert asked(duo, WEB, server="192.0.2.1")[0] == 0


@pytest.mark.parametrize("how", ["udp", "tcp"])
def test_by_the_node_a_question_that_misses_the_resolver_goes_nowhere(duo: Mesh, how: str) -> None:
    if in_pod(duo):
        pytest.skip("the node has no part in it")
    node = f"--net={duo.layout.netns('node-1')}"
    server = duo.start("echo", SERVE, "0.0.0.0")
    agent = duo.pid("node-1")
    try:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        duo.kill(agent, signal.SIGSTOP)  # nobody repairs
        run("nsenter", node, "iptables", "-t", "nat", "-F", "ztunnel-PREROUTING")
        assert not duo.works("client", ASK, duo.address("echo"), WEB, how, "1", "2")
        run("nsenter", node, "ipset", "flush", "ztunnel-dns-ips")
        assert how == "tcp" or not duo.works("client", ASK, duo.address("echo"), WEB, how, "1", "2")
    finally:
        duo.kill(agent, signal.SIGCONT)
        server.kill()
        said, _ = server.communicate()
    assert said == ""
    until(lambda: duo.works("client", ASK, "192.0.2.1", WEB, how), "repaired")


@contextlib.contextmanager
def away(mesh: Mesh, *parts: str) -> Iterator[None]:
    """These processes of the mesh hear nothing and say nothing."""
    held = [mesh.pid(part) for part in parts]
    for pid in held:
        mesh.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in held:
            mesh.kill(pid, signal.SIGCONT)


@pytest.mark.reliability(number=6)
def test_known_names_are_answered_while_control_plane_and_api_server_are_away(duo: Mesh) -> None:
    before = asked(duo, WEB, server="192.0.2.1")
    with away(duo, "control", "apiserver"):
        assert asked(duo, WEB, server="192.0.2.1") == before


def test_an_agent_that_starts_without_a_control_plane_answers_from_what_it_heard_before(duo: Mesh) -> None:
    before = asked(duo, WEB, server="192.0.2.1")
    with away(duo, "control"):
        duo.kill(duo.pid("node-1"))
        until(lambda: duo.works("client", ASK, "192.0.2.1", WEB, "udp"), "a restarted agent answers")
        assert asked(duo, WEB, server="192.0.2.1") == before
