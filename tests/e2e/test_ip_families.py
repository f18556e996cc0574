"""A mesh of both families, and one of IPv6 alone: what is true of IPv4 is true of IPv6, in each form of capture.

Where the machine lacks IPv6, or its rules, the tests are skipped and say so.
"""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from kit.mesh import ONCE, Mesh, mesh, talking, until
from kit.names import ASK, SERVE
from kit.netlab import run, sniffing
from plait.local import preflight
from plait.local.record import FORMS
from plait.resources import kinds
from plait.resources.kinds import Kind

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]

POD = """
apiVersion: v1
kind: Pod
metadata: {name: %(name)s, namespace: %(namespace)s, labels: {app: %(name)s}}
spec:
  nodeSelector: {kubernetes.io/hostname: %(node)s}
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: none, command: [/usr/bin/python3, -uc, '%(script)s']}]
---
"""
IDLE = "import time; time.sleep(9999)"
ECHO = (
    "import socket, socketserver as s; s.TCPServer.address_family = socket.AF_INET6; "
    "echo = lambda self: [self.wfile.write(line) for line in self.rfile]; "
    "handler = type(str(), (s.StreamRequestHandler,), dict(handle=echo)); "
    "s.ThreadingTCPServer((str(), 9000), handler).serve_forever()"
)
ECHO_SIX = ECHO.replace(
    "s.ThreadingTCPServer((str(), 9000), handler).serve_forever()",
    "t = s.ThreadingTCPServer((str(), 9000), handler, False); "
    "t.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1); "
    "t.server_bind(); t.server_activate(); t.serve_forever()",
)
"""Nobody listens at the pod's first address where it has both."""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: %s}
spec: {ipFamilyPolicy: PreferDualStack, selector: {app: echo}, ports: [{port: 9000}]}
---
"""
WORLD = (
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: duo}\n---\n"
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: outside}\n---\n"
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: side, labels: {istio-injection: enabled}}\n---\n"
    + SERVICE % "duo"
    + SERVICE % "side"
    + POD % {"name": "client", "namespace": "duo", "node": "node-1", "script": IDLE}
    + POD % {"name": "echo", "namespace": "duo", "node": "node-2", "script": ECHO}
    + POD % {"name": "plain", "namespace": "outside", "node": "node-1", "script": IDLE}
    + SERVICE % "outside"
    + POD % {"name": "echo", "namespace": "outside", "node": "node-2", "script": ECHO_SIX}
    + POD % {"name": "client", "namespace": "side", "node": "node-1", "script": IDLE}
    + POD % {"name": "echo", "namespace": "side", "node": "node-2", "script": ECHO}
)
HOLD = """
import socket, sys
with socket.create_connection((sys.argv[1], 9000), 3) as s:
    s.settimeout(60); s.sendall(b"x\\n"); s.recv(9); print("ok", flush=True); s.recv(9)
"""
WEB = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: duo, labels: {istio.io/use-waypoint: waypoint}}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: duo, labels: {app: web}}
spec:
  nodeSelector: {kubernetes.io/hostname: node-2}
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: none
    command: [/usr/bin/python3, -m, http.server, "8000", --bind, "::", --directory, /etc/apt]
    readinessProbe: {httpGet: {path: /, port: 8000}, periodSeconds: 1}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: duo}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
  infrastructure: {annotations: {plait.dev/scale-to-zero: SLEEP}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: duo}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: duo}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-keyrings, namespace: duo}
spec:
  targetRefs: [{group: "", kind: Service, name: web}]
  action: DENY
  rules: [{to: [{operation: {paths: ["/keyrings*"]}}]}]
"""
GET = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=20).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError:
    print("closed")
"""
STRICT = {"mtls": {"mode": "STRICT"}}
LOOK_UP = "import socket; print(sorted({i[4][0] for i in socket.getaddrinfo('echo', 9000)}))"


BOTH, SIX = "IPv4,IPv6", "IPv6"


@pytest.fixture(scope="module", params=[f"{form} {families}" for families in (BOTH, SIX) for form in FORMS])
def duo(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    if why := preflight.ipv6():
        pytest.skip(why)
    form, families = request.param.split()
    with mesh(f"six{len(families)}-{form}") as mine:
        mine.up("--capture", form, "--ip-families", families)
        mine.apply(WORLD)
        mine.ready("duo", "client", "echo")
        mine.ready("outside", "plain", "echo")
        mine.ready("side", "client", "echo")
        until(lambda: mine.works("client", ONCE, six(mine, "echo"), "9000"), "the application serves")
        with talking(mine, "client", six(mine, "echo")):  # begun before the capture, it lives through it
            mine.enrol("duo")
            mine.captured("duo", "client", "echo")
        yield mine


def six(mesh: Mesh, pod: str, namespace: str = "duo") -> str:
    found = mesh.get(kinds.POD, pod, namespace)["status"]["podIPs"]
    return next(str(each["ip"]) for each in found if ":" in each["ip"])


def service(mesh: Mesh, namespace: str = "duo") -> list[str]:
    return list(mesh.get(kinds.SERVICE, "echo", namespace)["spec"]["clusterIPs"])


def works(mesh: Mesh, client: str, address: str) -> bool:
    namespace, _, pod = client.partition("/")
    running = mesh.start(pod, ONCE, address, "9000", namespace=namespace)
    running.communicate(timeout=60)
    return running.returncode == 0


def from_outside(mesh: Mesh, address: str) -> bool:
    return works(mesh, "outside/plain", address)


def only_six(mesh: Mesh) -> bool:
    return mesh.record.ip_families == (SIX,)


@contextlib.contextmanager
def written(mesh: Mesh, kind: Kind, namespace: str, spec: dict[str, Any]) -> Iterator[None]:
    """An object that there is while the block lasts."""
    body = {"metadata": {"name": "now", "namespace": namespace}, "spec": spec}
    mesh.ask(lambda api: api.create(kind, body))
    try:
        yield
    finally:
        mesh.ask(lambda api: api.delete(kind, "now", namespace))


def test_by_every_address_there_is_a_tunnel_and_no_plaintext(duo: Mesh) -> None:
    status = duo.get(kinds.POD, "echo", "duo")["status"]
    ways = [*(each["ip"] for each in status["podIPs"]), *service(duo)]
    assert [":" in way for way in ways] == ([True, True] if only_six(duo) else [False, True, False, True])
    assert status["podIP"] == ways[0]
    with sniffing(duo.layout.netns("node-2")) as seen:
        for way in ways:
            duo.inside("client", ONCE, way, "9000")
    assert any(packet[12:14] == b"\x86\xdd" for packet in seen), "IPv6 crossed"
    assert not any(b"hello" in packet for packet in seen)
    log = duo.layout.node("node-2") / "access.log"

    def told() -> bool:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return any(
            line["direction"] == "inbound"
            and line["mtls"] == "true"
            and line["src.addr"].startswith(f"[{six(duo, 'client')}]:")
            and line["dst.addr"] == f"[{six(duo, 'echo')}]:9000"
            and line["src.identity"] == "spiffe://cluster.local/ns/duo/sa/default"
            for line in lines
        )

    until(told, "an inbound line with mTLS, the client's own address and identity")


def test_names_have_addresses_of_the_families_there_are(duo: Mesh) -> None:
    named = ("--name", duo.name)  # what comes after "--" is the container's
    done = duo.plait("exec", "-n", "duo", *named, "client", "--", "/usr/bin/python3", "-c", LOOK_UP)
    assert done.stdout.strip() == str(sorted(service(duo))), done.stderr


@pytest.mark.parametrize("how", ["udp", "tcp"])
def test_questions_to_a_nameserver_of_ipv6_are_captured_and_go_on_in_the_pod_s_name(duo: Mesh, how: str) -> None:
    for nobody in ("192.0.2.1", "2001:db8::1"):
        if only_six(duo) and "." in nobody:
            continue  # the pod has no way there
        for kind, version in (("1", "."), ("28", ":")):
            said = duo.inside("client", ASK, nobody, "echo.duo.svc.cluster.local", how, kind)
            assert json.loads(said) == [0, [address for address in service(duo) if version in address]]
    server = duo.start("echo", SERVE, "::")
    try:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        said = duo.inside("client", ASK, six(duo, "echo"), "anything.example.com", how)
        assert json.loads(said) == [0, ["192.0.2.53"]]
        assert server.stdout.readline().split() == [how, six(duo, "client")]
    finally:
        server.kill()
        server.communicate()


def test_strict_refuses_plaintext_of_ipv6(duo: Mesh) -> None:
    addresses = [six(duo, "echo"), service(duo)[-1]]
    assert all(from_outside(duo, address) for address in addresses), "PERMISSIVE lets it in"
    with written(duo, kinds.PEER_AUTHENTICATION, "duo", STRICT):
        until(lambda: not any(from_outside(duo, address) for address in addresses), "plaintext is refused", 15)
        assert all(duo.works("client", ONCE, address, "9000") for address in addresses)


def test_sidecars_capture_ipv6_and_speak_it_to_their_peers_only_in_the_mesh_s_way(duo: Mesh) -> None:
    with written(duo, kinds.PEER_AUTHENTICATION, "side", STRICT):
        mine = [six(duo, "echo", "side"), service(duo, "side")[-1]]
        until(lambda: not any(from_outside(duo, address) for address in mine), "plaintext is refused", 15)
        with sniffing(duo.layout.netns("node-2")) as seen:
            assert works(duo, "duo/client", mine[0]) and works(duo, "duo/client", mine[1])
            assert works(duo, "side/client", mine[1]) and works(duo, "side/client", service(duo)[-1])
        assert seen and not any(b"hello" in packet for packet in seen)


def test_a_sidecar_finds_a_server_that_listens_by_ipv6_alone(duo: Mesh) -> None:
    for address in service(duo, "outside"):
        until(lambda address=address: works(duo, "side/client", address), f"reached by {address}", 20)


def test_a_policy_names_a_range_of_ipv6_and_cuts_what_lives(duo: Mesh) -> None:
    block = {"from": [{"source": {"ipBlocks": [f"{six(duo, 'client')}/128"]}}]}
    denied = {"action": "DENY", "selector": {"matchLabels": {"app": "echo"}}, "rules": [block]}
    running = duo.start("client", HOLD, six(duo, "echo"))
    try:
        assert running.stdout is not None and running.stdout.readline() == "ok\n"
        with written(duo, kinds.AUTHORIZATION_POLICY, "duo", denied):
            until(lambda: running.poll() is not None, "the live connection was cut", 15)
            assert not duo.works("client", ONCE, six(duo, "echo"), "9000")
            assert not duo.works("client", ONCE, service(duo)[-1], "9000")
            if not only_six(duo):
                assert duo.works("client", ONCE, duo.address("echo"), "9000"), "IPv4 is another range"
    finally:
        running.kill()
        running.communicate()
    until(lambda: duo.works("client", ONCE, six(duo, "echo"), "9000"), "allowed again", 15)


def test_of_ipv6_alone_no_pod_has_a_way_out_by_ipv4(duo: Mesh) -> None:
    if not only_six(duo):
        pytest.skip("it has one")
    assert leaves_by_ipv4(duo, "outside", "plain"), "of a pod outside the mesh it is seen"
    assert not leaves_by_ipv4(duo, "duo", "client") and not leaves_by_ipv4(duo, "side", "client")


def leaves_by_ipv4(mesh: Mesh, namespace: str, pod: str) -> bool:
    """Does a datagram, or a question for a neighbour, leave a pod to which somebody gave an address?"""
    space = mesh.space(pod, namespace)
    run("ip", "-n", space.name, "address", "add", "192.0.2.7/24", "dev", "eth0")
    try:
        with sniffing(space) as seen:
            send = "import socket, time; socket.socket(2, 2).sendto(b'x', ('192.0.2.9', 9)); time.sleep(0.2)"
            mesh.start(pod, send, namespace=namespace).communicate(timeout=20)
        return any(frame[12:14] in (b"\x08\x00", b"\x08\x06") for frame in seen)
    finally:
        run("ip", "-n", space.name, "address", "del", "192.0.2.7/24", "dev", "eth0")


def test_of_ipv6_alone_waypoints_serve_and_wake_and_gateways_are_reached_from_the_host(duo: Mesh) -> None:
    if not only_six(duo):
        pytest.skip("tests/golden has both families")
    sleeps = duo.record.capture == "in-pod"  # the other form has not been tried with the activator
    duo.apply(WEB.replace("SLEEP", "3s") if sleeps else WEB.replace("SLEEP", "never"))
    duo.ready("duo", "web")
    duo.programmed("duo", "waypoint")
    duo.programmed("duo", "edge")
    (vip,) = duo.get(kinds.SERVICE, "web", "duo")["spec"]["clusterIPs"]
    (address, *_) = duo.get(kinds.GATEWAY, "edge", "duo")["status"]["addresses"]
    assert ":" in vip and ":" in address["value"]

    def got(path: str) -> str:
        return duo.inside("client", GET, f"http://[{vip}]/{path}").strip()

    until(lambda: (got(""), got("keyrings/")) == ("200", "403"), "the waypoint judges")
    with urllib.request.urlopen(f"http://[{address['value']}]/", timeout=20) as answer:
        assert answer.status == 200
    if sleeps:
        until(lambda: duo.get(kinds.DEPLOYMENT, "waypoint", "duo")["spec"]["replicas"] == 0, "it sleeps")
        assert (got(""), got("keyrings/")) == ("200", "403"), "and wakes"


def test_rules_removed_by_hand_come_back(duo: Mesh) -> None:
    in_pod = duo.record.capture == "in-pod"
    where = duo.space("client") if in_pod else duo.layout.netns("node-1")
    table, chain = ("nat", "ISTIO_OUTPUT") if in_pod else ("mangle", "ztunnel-PREROUTING")

    def rules() -> list[str]:
        saved = run("nsenter", f"--net={where}", "ip6tables-save", "-t", table).splitlines()
        return [line for line in saved if line.startswith(f"-A {chain}")]

    before = rules()
    assert before
    run("nsenter", f"--net={where}", "ip6tables", "-t", table, "-F", chain)
    until(lambda: rules() == before, "the rules are back", 20)
    until(lambda: duo.works("client", ONCE, six(duo, "echo"), "9000"), "and lead through the proxy", 15)


def test_a_pod_that_leaves_has_nothing_left_of_it(duo: Mesh) -> None:
    client = duo.space("client")
    duo.enrol("duo", None)
    duo.captured("duo", "client", "echo", value=False)
    assert duo.works("client", ONCE, six(duo, "echo"), "9000")

    def clean() -> bool:
        saved = run("nsenter", f"--net={client}", "ip6tables-save")
        policy = run("ip", "-6", "-n", client.name, "rule")
        return "ISTIO" not in saved and "fwmark" not in policy and members(duo) == []

    until(clean, "no rule, no route, no member of a set", 30)


def members(mesh: Mesh) -> list[str]:
    if mesh.record.capture == "in-pod":
        return []
    saved = run("nsenter", f"--net={mesh.layout.netns('node-1')}", "ipset", "save", "ztunnel-pods-ips6")
    return [line for line in saved.splitlines() if line.startswith("add")]
