"""The traps of Envoy as a node proxy, each as a regression test on the real binary. The security ones come first.

Two node proxies with our own translation, four pods, real iptables rules.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import socket
import ssl
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from kit import tunnel
from kit.asking import GREETING, ask, greeted, policy, said, who
from kit.dataplane import NAMESPACE, NODE_OF, DataPlane, identity, running, uid_of
from kit.envoys import Envoy, secrets, until
from kit.netlab import echo, quiet_echo
from kit.pki import Authority
from plait.envoy import names
from plait.envoy.roles import node as role
from plait.model.mesh import GatewayAddress, NetworkAddress
from plait.model.policies import Match, Range, Text
from plait.model.views.node import PodState
from plait.node import probe

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]


@pytest.fixture(scope="module")
def shared() -> Iterator[DataPlane]:
    with running() as plane:
        for pod in ("a1", "a2", "b1", "b2", "plain"):
            plane.lab.serve(pod, 8080, echo)
            plane.lab.serve(pod, 9090, quiet_echo)
        yield plane


@pytest.fixture
def plane(shared: DataPlane) -> Iterator[DataPlane]:
    """The shared proxies, back in their first state."""
    shared.reset()
    yield shared
    for name in NODE_OF:
        assert shared.envoys[name].ready(), f"{name} died: {shared.envoys[name].log.read_text()[-2000:]}"


# The four that are security ---


def test_two_pods_towards_one_peer_never_share_a_tunnel_or_a_certificate(plane: DataPlane) -> None:
    b1 = plane.lab.address("b1")
    # A host that is new to an ORIGINAL_DST cluster takes a moment to become known; meanwhile every connection makes it.
    for pod in ("a1", "a2"):
        with plane.lab.connect(pod, b1, 9090) as connection:
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
    logged = len(until(lambda: plane.envoys["nb"].lines(), "log lines of the first connections"))
    before = plane.envoys["na"].stat(f"cluster.{names.HBONE}.upstream_cx_total")
    held = [plane.lab.connect(pod, b1, 9090) for pod in ("a1", "a2", "a1", "a2") for _ in range(10)]
    for connection in held:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
    used = plane.envoys["na"].stat(f"cluster.{names.HBONE}.upstream_cx_total") - before
    assert used <= 2, "one tunnel for each identity, however many connections"
    for connection in held:
        connection.close()
    until(lambda: len(plane.envoys["nb"].lines()[logged:]) >= 40, "40 log lines")
    for line in plane.envoys["nb"].lines():
        pod = {plane.lab.address(p): p for p in ("a1", "a2")}[line["src.addr"].rpartition(":")[0]]
        assert line["src.identity"] == identity(pod), "a connection travelled under another pod's certificate"


@pytest.mark.parametrize("denied", ["deny", "not allowed"])
def test_a_denied_hbone_client_never_receives_a_server_first_greeting(plane: DataPlane, denied: str) -> None:
    port = 8101 if denied == "deny" else 8102
    seen = greeted(plane, "b1", port)
    plane.change(policies=[policy("deny", who("a1")) if denied == "deny" else policy("allow", who("a2"))])
    assert ask(plane, "a1", plane.lab.address("b1"), port) == b""
    assert ask(plane, "a2", plane.lab.address("b1"), port) == GREETING
    assert seen == [plane.lab.address("a2")], "the application was connected for a denied client"


@pytest.mark.parametrize("denied", ["address", "strict", "needs a principal"])
def test_a_denied_plaintext_client_never_receives_a_server_first_greeting(plane: DataPlane, denied: str) -> None:
    port = {"address": 8111, "strict": 8112, "needs a principal": 8113}[denied]
    seen = greeted(plane, "b1", port)
    block = Range(plane.lab.address("plain"), 32)
    rule = {
        "address": policy("deny", Match(source_ips=(block,))),
        "strict": policy("deny", Match(not_principals=(Text("presence"),))),
        "needs a principal": policy("allow", who("a1")),
    }[denied]
    assert ask(plane, "plain", plane.lab.address("b1"), port) == GREETING
    plane.change(policies=[rule])
    assert ask(plane, "plain", plane.lab.address("b1"), port) == b""
    assert seen == [plane.lab.address("plain")], "the application was connected for a denied client"
    assert ask(plane, "a1", plane.lab.address("b1"), port) == GREETING, "a tunnel is judged by its own rules"


@pytest.mark.parametrize("expected", ["spiffe://cluster.local/ns/default/sa/b1", None])
@pytest.mark.reliability(number=30)
def test_a_peer_that_is_not_the_expected_identity_is_refused(plane: DataPlane, expected: str | None) -> None:
    """b2 holds a valid certificate of the mesh; where another one, or none at all, is expected, it gets nothing."""
    port = 8121 if expected else 8122
    seen = greeted(plane, "b2", port)
    name = names.on_demand(plane.lab.address("b2"), port)
    cluster = role.destination_cluster(plane.view("na"), name)
    end = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]
    assert end["metadata"]["filter_metadata"][names.MD_TUNNEL] == {"identity": identity("b2")}
    end["metadata"]["filter_metadata"][names.MD_TUNNEL] = {"identity": expected} if expected else {}
    plane.answers[name] = cluster
    plane.push()
    assert ask(plane, "a1", plane.lab.address("b2"), port) == b""
    assert seen == []
    del plane.answers[name]
    plane.push()
    until(lambda: ask(plane, "a1", plane.lab.address("b2"), port) == GREETING, "the right identity is let through")

    def explained() -> bool:
        errors = [line["error"] or "" for line in plane.envoys["na"].lines() if line["direction"] == "tunnel"]
        return any("SAN" in error and identity("b2") in error for error in errors)

    until(explained, "the log says which identity was met")


@pytest.mark.reliability(number=30)
def test_a_certificate_of_another_authority_is_refused(plane: DataPlane) -> None:
    foreign = Authority("somebody else")
    for leaf in (foreign.issue(identity("a1")), None, plane.authority.issue("spiffe://other.domain/ns/default/sa/a1")):
        tls = tunnel.context(plane.authority, leaf)
        plain = plane.lab.connect("plain", plane.lab.address("b1"), 15008)
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            answer = tunnel.connect(plain, tls, f"{plane.lab.address('b1')}:8080", wait_for_data=True)
            assert (answer.status, answer.data) == ("", b"")


@pytest.mark.parametrize(
    "authority",
    [
        "{b2}:8080",
        "{plain}:8080",
        "127.0.0.1:8080",
        "127.0.0.1:15000",
        "localhost:8080",
        "0.0.0.0:8080",
        "[::1]:8080",
        "169.254.169.254:80",
        "metadata.google.internal:80",
        "{b1}:15001",
        "{b1}:15006",
        "{b1}:15008",
        "{b1}:08080",
        "{b1}: 8080",
        "{b1}:+8080",
        "{b1}:0",
        "{b1}.evil:8080",
        "*:8080",
    ],
)
@pytest.mark.reliability(number=32)
def test_a_connect_to_anything_but_the_pod_itself_is_refused(plane: DataPlane, authority: str) -> None:
    pods = {pod: plane.lab.address(pod) for pod in ("b1", "b2", "plain")}
    tls = tunnel.context(plane.authority, plane.authority.issue(identity("a1")))
    plain = plane.lab.connect("plain", pods["b1"], 15008)
    answer = tunnel.connect(plain, tls, authority.format(**pods), wait_for_data=True)
    assert answer.data == b""
    assert answer.status in ("400", "503", ""), "this must not be an open relay"


@pytest.mark.reliability(number=29)
def test_a_port_policy_cannot_be_evaded_by_spelling_the_port_differently(plane: DataPlane) -> None:
    plane.change(policies=[policy("deny", Match(destination_ports=(8080,)))])
    tls = tunnel.context(plane.authority, plane.authority.issue(identity("a1")))
    for spelling, status in (("8080", "401"), ("08080", "400"), ("008080", "400")):
        plain = plane.lab.connect("plain", plane.lab.address("b1"), 15008)
        answer = tunnel.connect(plain, tls, f"{plane.lab.address('b1')}:{spelling}", wait_for_data=True)
        assert answer.status == status, spelling
        assert plane.lab.address("plain").encode() not in answer.data


def test_a_client_cannot_choose_the_address_the_application_sees(plane: DataPlane) -> None:
    tls = tunnel.context(plane.authority, plane.authority.issue(identity("a1")))
    plain = plane.lab.connect("plain", plane.lab.address("b1"), 15008)
    spoofed = {"x-forwarded-for": "192.0.2.1", "forwarded": "for=192.0.2.1", "x-envoy-external-address": "192.0.2.1"}
    answer = tunnel.connect(plain, tls, f"{plane.lab.address('b1')}:8080", spoofed, wait_for_data=True)
    assert answer.data == f"{plane.lab.address('plain')}\n".encode()


# Loops ---


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        ("a1", "127.0.0.1", 15001),
        ("a1", "a1", 15006),
        ("a1", "a1", 15001),
        ("a2", "a1", 15006),
        ("plain", "a1", 15006),
        ("plain", "a1", 15001),
        ("a1", "b1", 15008),
        ("a1", "b1", 15006),
    ],
)
@pytest.mark.reliability(number=32)
def test_a_connection_to_the_proxys_own_ports_ends_and_does_not_recurse(
    plane: DataPlane, source: str, target: str, port: int
) -> None:
    address = target if target[0].isdigit() else plane.lab.address(target)
    accepted = "^listener[.](outbound|inbound|hbone)[.]downstream_cx_total$"
    before = sum(sum(envoy.stats(accepted).values()) for envoy in plane.envoys.values())
    with contextlib.suppress(ConnectionError), plane.lab.connect(source, address, port) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert said(connection) == b""
    after = sum(sum(envoy.stats(accepted).values()) for envoy in plane.envoys.values())
    assert after - before <= 4, "the proxy connected to itself again and again"


def test_a_capture_probe_is_dropped_counted_and_leaves_no_line(plane: DataPlane) -> None:
    envoy = plane.envoys["na"]
    before, passed = envoy.stat("tcp.probe.downstream_cx_total"), "tcp.passthrough.downstream_cx_total"
    through, lines = envoy.stat(passed), len(envoy.lines())
    for _ in range(50):
        asyncio.run(probe.outbound(plane.lab.netns("a1")))
    assert envoy.stat("tcp.probe.downstream_cx_total") == before + 50
    assert envoy.stat(passed) == through
    assert ask(plane, "a1", plane.lab.address("plain")) != b""
    until(lambda: len(envoy.lines()) > lines, "the next connection's line")
    assert all("169.254" not in line["dst.addr"] for line in envoy.lines())


# TLS, certificates and clusters on demand ---


def test_hbone_speaks_tls_13_only(plane: DataPlane) -> None:
    leaf = plane.authority.issue(identity("a1"))
    old = tunnel.context(plane.authority, leaf)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        plane.lab.connect("plain", plane.lab.address("b1"), 15008) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
        old.wrap_socket(plain) as stream,
    ):
        stream.recv(1)
    new = tunnel.context(plane.authority, leaf)
    with new.wrap_socket(plane.lab.connect("plain", plane.lab.address("b1"), 15008)) as stream:
        assert (stream.version(), stream.selected_alpn_protocol()) == ("TLSv1.3", "h2")


def test_a_certificate_that_comes_late_delays_a_connection_and_loses_none(plane: DataPlane) -> None:
    late = identity("a3")
    plane.pods["na"] = [*plane.pods["na"], plane.pod_state("a3")]
    plane.change()
    with plane.lab.connect("a3", plane.lab.address("b1"), 8080) as connection:
        until(lambda: (names.SECRET, late) in plane.xds["na"].requested, "the certificate is asked for on demand")
        plane.secrets["na"] = plane.secrets["na"] | secrets(plane.authority, [late])
        plane.push()
        assert connection.recv(100) == f"{plane.lab.address('a3')}\n".encode()
    until(lambda: any(line["src.identity"] == late for line in plane.envoys["nb"].lines()), "the peer saw the identity")


def test_an_on_demand_name_is_always_answered_and_pushed_again_when_it_changes(plane: DataPlane) -> None:
    greeted(plane, "b1", 8141)
    b1, mesh = f"{plane.lab.address('b1')}:8141", plane.mesh

    def secured() -> str:
        """How the latest of our connections arrived at the other node."""
        before = logged()
        assert ask(plane, "a2", plane.lab.address("b1"), 8141) == GREETING
        return str(until(lambda: len(found := logged()) > len(before) and found, "a log line")[-1])

    def logged() -> list[str]:
        return [line["mtls"] for line in plane.envoys["nb"].lines() if line["dst.addr"] == b1]

    assert secured() == "true"
    plane.forget("b1")  # nobody knows the address any more: it passes through, it is not refused and not "removed"
    until(lambda: secured() == "false", "an unknown address passes through")
    plane.mesh = mesh
    plane.push()
    until(lambda: secured() == "true", "the address is known again")
    asked = [name for url, name in plane.xds["na"].requested if url == names.CLUSTER]
    assert asked == [], "a name was left without an answer"


def test_a_service_without_endpoints_refuses_and_recovers(plane: DataPlane) -> None:
    sick = {pod: {"status": "unhealthy"} for pod in ("b1", "b2")}
    assert ask(plane, "a1", plane.service_ip, 80) == f"{plane.lab.address('a1')}\n".encode()
    plane.change(workloads=sick)
    until(lambda: ask(plane, "a1", plane.service_ip, 80) == b"", "nobody is healthy")
    plane.change(workloads={pod: {"status": "healthy"} for pod in sick})
    until(lambda: ask(plane, "a1", plane.service_ip, 80) != b"", "endpoints came back")


def test_a_change_of_endpoints_does_not_cut_connections_of_a_service(plane: DataPlane) -> None:
    with plane.lab.connect("a1", plane.service_ip, 80) as connection:
        assert said(connection)
        plane.change(workloads={"b2": {"status": "unhealthy"}})
        plane.change(workloads={"b2": {"status": "healthy"}, "b1": {"status": "unhealthy"}})
        connection.sendall(b"still here")
        assert said(connection) == b"still here"


def test_a_service_balances_over_tunnels_and_plain_endpoints_in_one_cluster(plane: DataPlane) -> None:
    plane.change(workloads={"plain": {"services": plane.mesh.workloads[uid_of("b1")].services}})
    mine: set[str] = set()
    for _ in range(24):
        with plane.lab.connect("a1", plane.service_ip, 80) as connection:
            mine.add("{}:{}".format(*connection.getsockname()))
            assert said(connection) == f"{plane.lab.address('a1')}\n".encode()

    def logged() -> list[dict[str, str]]:
        lines = [line for line in plane.envoys["na"].lines() if line.get("src.addr") in mine]
        return lines if len(lines) == 24 else []

    lines = until(logged, "24 lines")
    assert {line["dst.workload"] for line in lines} == {"b1-deployment", "b2-deployment", "plain-deployment"}


def test_a_waypoint_is_sent_the_service_address_under_its_own_identity(plane: DataPlane) -> None:
    """No waypoint runs here: b2's proxy stands at its address, and says what it was asked for."""
    waypoint = GatewayAddress(address=NetworkAddress(plane.lab.address("b2")))
    web = next(iter(plane.mesh.services.values()))
    plane.change(services=[replace(web, waypoint=waypoint)])
    until(lambda: ask(plane, "a1", plane.service_ip, 80) == b"", "the waypoint's place refuses a foreign authority")

    def refused() -> list[tuple[int, str]]:
        lines = [line for line in plane.envoys["nb"].lines() if line.get("authority") == f"{plane.service_ip}:80"]
        return [(line["code"], line["src.identity"]) for line in lines]

    assert until(refused, "a log line at the waypoint's place") == [(400, identity("a1"))]
    plane.change(services=[web])
    until(lambda: ask(plane, "a1", plane.service_ip, 80) != b"", "without a waypoint it is direct again")


# Limits and changes under load ---


def test_more_than_1024_connections_fit_through_the_shared_clusters(plane: DataPlane) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    plane.lab.hold("b1", 8201)
    held: list[socket.socket] = []
    try:
        held += [plane.lab.connect("a1", plane.lab.address("b1"), 8201) for _ in range(1100)]
        assert sum(connection.recv(1) == b"!" for connection in held) == 1100
    finally:
        for connection in held:
            connection.close()


def test_a_policy_change_acts_at_once_on_new_connections_and_cuts_no_tunnel(plane: DataPlane) -> None:
    b1 = plane.lab.address("b1")
    with plane.lab.connect("a1", b1, 8080) as connection:
        assert said(connection)
        changes = "^listener_manager[.]listener_(modified|in_place_updated|added|removed)$"
        before, tunnels = plane.envoys["nb"].stats(changes), "listener.hbone.downstream_cx_destroy"
        closed = plane.envoys["nb"].stat(tunnels)
        plane.change(policies=[policy("allow", Match(principals=who("a2").principals, destination_ports=(8080,)))])
        assert ask(plane, "a1", b1) == b""
        assert ask(plane, "a2", b1) != b""
        connection.sendall(b"still here")
        assert said(connection) == b"still here"
        plaintext = len(plane.pods["nb"])  # their plaintext listeners carry the policy inline and take it in place
        after = plane.envoys["nb"].stats(changes)
        assert sum(after.values()) - sum(before.values()) <= 2 * plaintext
        assert plane.envoys["nb"].stat(tunnels) == closed


def test_a_strict_rule_takes_effect_without_cutting_tunnels_or_other_pods(plane: DataPlane) -> None:
    b1 = plane.lab.address("b1")
    with plane.lab.connect("a1", b1, 8080) as tunnelled, plane.lab.connect("plain", b1, 8080) as plain:
        assert said(tunnelled) and said(plain)
        plane.change(policies=[policy("deny", Match(not_principals=(Text("presence"),)))])
        assert ask(plane, "plain", b1) == b""
        assert ask(plane, "a1", b1) != b""
        tunnelled.sendall(b"still here")
        assert said(tunnelled) == b"still here"


def test_a_dry_run_policy_is_counted_and_refuses_nobody(plane: DataPlane) -> None:
    plane.change(policies=[policy("deny", who("a1"), dry_run=True)])
    assert ask(plane, "a1", plane.lab.address("b1")) != b""
    counted = plane.envoys["nb"].stats("dry_run.*shadow_denied")
    assert sum(counted.values()) >= 1, counted


def test_a_vanished_namespace_refuses_its_own_listeners_only(plane: DataPlane) -> None:
    ghost = PodState("uid-ghost", NAMESPACE, "ghost", "ghost", ("10.99.0.1",), "/run/netns/no-such-namespace")
    with plane.lab.connect("a1", plane.lab.address("b1"), 8080) as connection:
        assert said(connection)
        plane.pods["na"] = [*plane.pods["na"], ghost]
        plane.change(policies=[policy("deny", who("a2"))], settle=False)
        refusal = until(lambda: plane.xds["na"].refused, "a NACK")[-1]
        assert names.pod_of(re.search(r"(outbound|hbone|inbound)[|][\w-]+", refusal).group()) == "uid-ghost", refusal  # type: ignore[union-attr]
        connection.sendall(b"still here")
        assert said(connection) == b"still here"
        until(lambda: ask(plane, "a2", plane.lab.address("b1")) == b"", "other news arrived")
    plane.reset()
    assert ask(plane, "a1", plane.lab.address("b1")) != b""


def test_a_pod_that_leaves_does_not_disturb_its_neighbour(plane: DataPlane) -> None:
    with plane.lab.connect("a1", plane.lab.address("b1"), 8080) as connection:
        assert said(connection)
        plane.pods["na"] = [plane.pod_state("a1")]
        plane.push()
        until(lambda: len(plane.envoys["na"].listeners()) == 4, "a2's listeners are gone")
        connection.sendall(b"still here")
        assert said(connection) == b"still here"


# What applications notice ---


@pytest.mark.parametrize(
    ("source", "target"),
    [("a1", "b1"), ("a1", "a2"), ("a1", "a1"), ("a1", "plain"), ("plain", "b1"), ("a1", "service")],
)
def test_the_application_sees_its_clients_address_and_may_speak_first(
    plane: DataPlane, source: str, target: str
) -> None:
    address, port = (plane.service_ip, 80) if target == "service" else (plane.lab.address(target), 8080)
    assert ask(plane, source, address, port) == f"{plane.lab.address(source)}\n".encode()


@pytest.mark.parametrize(("source", "target"), [("a1", "b1"), ("a1", "plain"), ("plain", "b1")])
def test_a_half_closed_connection_still_carries_the_answer(plane: DataPlane, source: str, target: str) -> None:
    def after_the_end(connection: socket.socket, client: tuple[str, int]) -> None:
        received = b""
        while data := connection.recv(4096):
            received += data
        connection.sendall(b"got " + received)

    port = 8301 if source == "a1" else 8302
    with contextlib.suppress(OSError):
        plane.lab.serve(target, port, after_the_end)
    with plane.lab.connect(source, plane.lab.address(target), port) as connection:
        connection.sendall(b"everything")
        connection.shutdown(socket.SHUT_WR)
        assert said(connection) == b"got everything"


def test_both_sides_count_and_log_a_connection_with_both_names(plane: DataPlane) -> None:
    def sized(envoy: Envoy) -> list[dict[str, Any]]:
        return [line for line in envoy.lines() if line.get("bytes_recv") == 777]

    with plane.lab.connect("a2", plane.service_ip, 80) as connection:
        said(connection)
        connection.sendall(b"x" * 777)  # by this length its lines are found
        assert said(connection)
    for name, reporter in (("na", "source"), ("nb", "destination")):
        envoy = plane.envoys[name]
        line = until(partial(sized, envoy), "a log line")[0]
        assert (line["src.identity"], line["src.workload"]) == (identity("a2"), "a2-deployment")
        assert line["dst.workload"] in ("b1-deployment", "b2-deployment")
        assert line["bytes_sent"] == 777 + len(f"{plane.lab.address('a2')}\n")
        wanted = {
            "reporter": reporter,
            "source_workload": "a2-deployment",
            "source_workload_namespace": "default",
            "source_principal": identity("a2"),
            "source_app": "a2",
            "source_version": "v1",
            "source_canonical_service": "a2",
            "source_canonical_revision": "v1",
            "source_cluster": "Kubernetes",
            "destination_service": "web.default.svc.cluster.local",
            "destination_service_name": "web",
            "destination_service_namespace": "default",
            "destination_workload": line["dst.workload"],
            "destination_principal": line["dst.identity"],
            "request_protocol": "tcp",
            "response_flags": "-",
            "connection_security_policy": "mutual_tls",
        }
        for metric in ("connections_opened", "connections_closed", "sent_bytes", "received_bytes"):
            text = envoy.admin(f"/stats/prometheus?filter=istio_tcp_{metric}")
            found = [dict(re.findall(r'(\w+)="([^"]*)"', series)) for series in text.splitlines() if "{" in series]
            assert any(wanted.items() <= labels.items() for labels in found), (metric, found)


@pytest.mark.reliability(number=6)
def test_known_destinations_and_live_connections_survive_the_loss_of_the_control_side() -> None:
    with running() as plane:
        plane.lab.serve("b1", 8080, echo)
        with plane.lab.connect("a1", plane.lab.address("b1"), 8080) as connection:
            assert said(connection)
            for xds in plane.xds.values():
                xds.stop()
            connection.sendall(b"still here")
            assert said(connection) == b"still here"
            assert ask(plane, "a1", plane.lab.address("b1")) != b""
