"""Names inside captured pods: what the mesh answers, what goes on to the nameserver that was asked, and who decides.

A whole mesh; questions are put with sockets from inside pods, to nameservers of the test's own choice.
"""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator

import pytest

from kit.mesh import PAIR, Mesh, mesh, until
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

# Puts one A question by UDP or TCP and prints the code and the addresses.
ASK = """
import json, socket, struct, sys
server, name, how = sys.argv[1:4]
query = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0)
query += b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\\0" + struct.pack("!HH", 1, 1)
if how == "udp":
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(6)
    s.connect((server, 53)); s.send(query); data = s.recv(4096)
else:
    s = socket.create_connection((server, 53), 6)
    s.sendall(len(query).to_bytes(2, "big") + query)
    size = int.from_bytes(s.recv(2), "big"); data = b""
    while len(data) < size: data += s.recv(size - len(data))
assert data[:2] == query[:2]
found, at = [], len(query)
for _ in range(struct.unpack_from("!H", data, 6)[0]):
    while data[at]: at += 1 + data[at]
    kind, _, _, size = struct.unpack_from("!HHIH", data, at + 1)
    if kind == 1: found.append(".".join(map(str, data[at + 11:at + 15])))
    at += 11 + size
print(json.dumps([data[3] & 15, sorted(found)]))
"""

# A nameserver that knows one thing: 192.0.2.53, whatever is asked; and who asked.
SERVE = """
import socket, sys, threading
def answer(q):
    end = q.index(0, 12) + 5
    head = q[:2] + b"\\x84\\x80\\0\\1\\0\\1\\0\\0\\0\\0" + q[12:end]
    return head + q[12:end - 4] + b"\\0\\1\\0\\1\\0\\0\\0\\0\\0\\4\\xc0\\0\\2\\x35"
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("0.0.0.0", 53))
tcp = socket.create_server(("0.0.0.0", 53))
def streams():
    while True:
        s, peer = tcp.accept(); q = s.recv(4096)[2:]; a = answer(q)
        print("tcp", peer[0], flush=True); s.sendall(len(a).to_bytes(2, "big") + a); s.close()
threading.Thread(target=streams, daemon=True).start()
print("ready", flush=True)
while True:
    q, peer = udp.recvfrom(4096); print("udp", peer[0], flush=True); udp.sendto(answer(q), peer)
"""
WEB = "echo.duo.svc.cluster.local"


@pytest.fixture(scope="module")
def duo() -> Iterator[Mesh]:
    with mesh("names") as mine:
        mine.up()
        mine.apply(PAIR + "---" + MORE)
        mine.ready("duo", "client", "echo", "apart")
        mine.enrol("duo")
        mine.captured("duo", "client", "echo", "apart")
        yield mine


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
    server = duo.start("echo", SERVE)
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
    saved = duo.inside("apart", "import subprocess as s; print(s.check_output(['iptables-save'], text=True))")
    assert "15053" not in saved and "15001" in saved
    assert asked(duo, WEB, pod="apart")[0] == 0, "the cluster's nameserver answers"


def test_rules_and_resolver_are_repaired(duo: Mesh) -> None:
    script = "import subprocess as s; s.check_call(['iptables', '-t', 'nat', '-F', 'ISTIO_OUTPUT'])"
    duo.inside("client", script)

    def repaired() -> bool:
        saved = duo.inside("client", "import subprocess as s; print(s.check_output(['iptables-save'], text=True))")
        return "--to-ports 15053" in saved

    until(repaired, "the rules are back")
    assert asked(duo, WEB, server="192.0.2.1")[0] == 0


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
