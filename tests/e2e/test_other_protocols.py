"""What is not TCP over IPv4: never plaintext into a STRICT pod, never a way around the proxy by IPv6.

A whole mesh in each form of capture; datagrams, raw IP packets and IPv6 connections from real sockets.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from kit.mesh import PAIR, Mesh, mesh, until
from kit.netlab import run
from plait.base import netns
from plait.resources import kinds

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]

PLAIN = """
apiVersion: v1
kind: Namespace
metadata: {name: outside}
---
apiVersion: v1
kind: Pod
metadata: {name: plain, namespace: outside}
spec:
  nodeSelector: {kubernetes.io/hostname: node-2}
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: none, command: [/bin/sleep, infinity]}]
"""
PEER = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: peers, namespace: duo}
spec:
  selector: {matchLabels: {app: echo}}
  mtls: {mode: %s}
  portLevelMtls: {9102: {mode: %s}}
"""
# Answers every datagram on the given ports.
SERVE = """
import socket, sys, threading
def serve(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", port))
    while True:
        data, peer = s.recvfrom(99); s.sendto(data, peer)
for port in sys.argv[2:]: threading.Thread(target=serve, args=(int(port),)).start()
print("ready", flush=True)
"""
ASK = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.3)
for _ in range(3):
    try:
        s.sendto(b"hello", (sys.argv[1], int(sys.argv[2])))
        assert s.recv(99) == b"hello"; break
    except TimeoutError: pass
else: sys.exit(1)
"""
# Of the mesh, and without what container engines leave to root by default.
CAREFUL = """
apiVersion: v1
kind: Pod
metadata: {name: careful, namespace: duo}
spec:
  nodeSelector: {kubernetes.io/hostname: node-1}
  terminationGracePeriodSeconds: 0
  containers:
    - {name: c, image: none, command: [/bin/sleep, infinity], securityContext: {capabilities: {drop: [NET_RAW]}}}
"""
# Which sockets that the rules of capture do not hold may this process have? The proxy's own mark is 0x539.
WAYS = """
import socket
def marked(): socket.socket().setsockopt(socket.SOL_SOCKET, 36, 0x539)
def packets(): socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
def raw(): socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
def transparent(): socket.socket().setsockopt(socket.SOL_IP, 19, 1)
for way in (marked, packets, raw, transparent):
    try: way(); print(way.__name__)
    except PermissionError: pass
"""
# A flow that goes on for as long as it is answered.
FLOW = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)
s.connect((sys.argv[1], int(sys.argv[2])))
while True:
    s.send(b"x"); s.recv(9); print("ok", flush=True); time.sleep(0.05)
"""
# IP protocol 253 (for experiments): one packet, and who gets any.
RAW_SERVE = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253); s.settimeout(1.5); print("ready", flush=True)
s.recv(99)
"""
RAW_SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253); s.sendto(b"hello", (sys.argv[1], 0))
"""


@pytest.fixture(scope="module", params=["in-pod", "node"])
def duo(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    with mesh(f"others-{request.param}") as mine:
        mine.up("--capture", request.param)
        mine.apply(PAIR + "---" + PLAIN)
        mine.ready("duo", "client", "echo")
        mine.ready("outside", "plain")
        mine.enrol("duo")
        mine.captured("duo", "client", "echo")
        server = mine.start("echo", SERVE, "-", "9101", "9102")
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        try:
            yield mine
        finally:
            server.kill()
            server.communicate()


@pytest.fixture
def demands(duo: Mesh) -> Iterator[None]:
    yield
    duo.plait("delete", "peerauthentication", "peers", "-n", "duo")


def asks(mesh: Mesh, pod: str, port: int, namespace: str = "duo") -> bool:
    running = mesh.start(pod, ASK, mesh.address("echo"), str(port), namespace=namespace)
    running.communicate(timeout=30)
    return running.returncode == 0


def from_node(mesh: Mesh, port: int) -> bool:
    command = ["nsenter", f"--net={mesh.layout.netns('node-2')}", "/usr/bin/python3", "-c", ASK]
    return subprocess.run([*command, mesh.address("echo"), str(port)], check=False, timeout=30).returncode == 0


def raw(mesh: Mesh) -> bool:
    """Does a packet of another protocol arrive?"""
    server = mesh.start("echo", RAW_SERVE)
    assert server.stdout is not None and server.stdout.readline() == "ready\n"
    mesh.inside("client", RAW_SEND, mesh.address("echo"))
    server.communicate(timeout=10)
    return server.returncode == 0


@pytest.mark.usefixtures("demands")
@pytest.mark.reliability(number=33)
def test_under_strict_only_the_node_and_answers_come_in_and_without_it_all_do(duo: Mesh) -> None:
    # The classic form routes what is neither TCP nor UDP, and the node's own datagrams, into the proxy's namespace,
    # where they end.
    others = duo.record.capture == "in-pod"
    assert asks(duo, "client", 9101) and asks(duo, "plain", 9101, "outside") and raw(duo) is others
    duo.apply(PEER % ("STRICT", "PERMISSIVE"))
    until(lambda: not asks(duo, "client", 9101), "datagrams are refused", 10)
    assert not asks(duo, "plain", 9101, "outside") and not raw(duo)
    assert asks(duo, "client", 9102) and asks(duo, "plain", 9102, "outside"), "a port's own mode counts"
    assert from_node(duo, 9101) is others, "the node itself may"
    duo.apply(PEER % ("PERMISSIVE", "STRICT"))
    until(lambda: asks(duo, "client", 9101), "they pass again", 10)
    assert not asks(duo, "client", 9102) and raw(duo) is others


@pytest.mark.usefixtures("demands")
def test_a_strict_pod_may_speak_first_and_gets_its_answers(duo: Mesh) -> None:
    duo.apply(PEER % ("STRICT", "STRICT"))
    until(lambda: not asks(duo, "client", 9101), "datagrams are refused", 10)
    server = duo.start("plain", SERVE, "-", "9103", namespace="outside")
    assert server.stdout is not None and server.stdout.readline() == "ready\n"
    try:
        duo.inside("echo", ASK, duo.address("plain", "outside"), "9103")
    finally:
        server.kill()
        server.communicate()


@pytest.mark.usefixtures("demands")
@pytest.mark.reliability(number=33)
def test_a_flow_that_is_older_than_the_demand_ends(duo: Mesh) -> None:
    flow = duo.start("client", FLOW, duo.address("echo"), "9101")
    try:
        assert flow.stdout is not None and flow.stdout.readline() == "ok\n"
        duo.apply(PEER % ("STRICT", "STRICT"))
        until(lambda: flow.poll() is not None, "the flow gets no answers any more", 15)
    finally:
        flow.kill()
        flow.communicate()


V6_SERVE = """
import socket
s = socket.create_server(("::", 9200), family=socket.AF_INET6); s.settimeout(60); print("ready", flush=True)
while True: s.accept()[0].close()
"""
V6_ASK = "import socket, sys; socket.create_connection((sys.argv[1], 9200), 1).close()"


@pytest.mark.reliability(number=33)
def test_ipv6_is_no_way_around_a_captured_pod_and_is_there_again_when_it_leaves(duo: Mesh) -> None:
    """The runtime gives no IPv6; somebody else might: a link of its own between the two pods."""
    client, echo = duo.space("client"), duo.space("echo")
    run("ip", "-n", client.name, "link", "add", "six", "type", "veth", "peer", "name", "six", "netns", echo.name)
    for space, address in ((client, "fd00:6::1"), (echo, "fd00:6::2")):
        run("ip", "-n", space.name, "address", "add", f"{address}/64", "dev", "six", "nodad")
        run("ip", "-n", space.name, "link", "set", "six", "up")
    server = duo.start("echo", V6_SERVE)
    assert server.stdout is not None and server.stdout.readline() == "ready\n"
    try:
        assert not duo.works("client", V6_ASK, "fd00:6::2"), "plaintext passed by IPv6"
        assert duo.works("echo", V6_ASK, "::1"), "a pod's own loopback is its own"
        run("nsenter", f"--net={client}", "ip6tables", "-t", "raw", "-F", "ISTIO_OUTPUT")

        def repaired() -> bool:
            return "! -o lo -j DROP" in run("nsenter", f"--net={client}", "ip6tables-save")

        until(repaired, "the rule is back", 15)
        duo.enrol("duo", None)
        duo.captured("duo", "client", "echo", value=False)
        until(lambda: duo.works("client", V6_ASK, "fd00:6::2"), "IPv6 as without a mesh", 15)
        until(lambda: "ISTIO" not in run("nsenter", f"--net={client}", "ip6tables-save"), "no trace", 15)
    finally:
        server.kill()
        server.communicate()
        duo.enrol("duo")
        duo.captured("duo", "client", "echo")
    assert netns.exists(client) and duo.get(kinds.POD, "client", "duo")


@pytest.mark.reliability(number=33)
def test_a_container_without_net_raw_has_no_socket_that_capture_does_not_hold(duo: Mesh) -> None:
    """What root has by default is listed in docs/limits.md."""
    duo.apply(CAREFUL)
    duo.ready("duo", "careful")
    found = duo.plait("exec", "-n", "duo", "--name", duo.name, "careful", "--", "/usr/bin/python3", "-c", WAYS)
    assert (found.returncode, found.stdout) == (0, ""), found
