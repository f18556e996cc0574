"""Node-level capture end to end: the claims of in-pod capture, and the ten steps seen by the kernel's counters."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from kit.mesh import ONCE, PAIR, Mesh, mesh, talking, traces, until
from kit.names import ASK
from kit.netlab import run, sniffing
from plait.resources import kinds

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]
THIRD = """
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s}
spec:
  nodeSelector: {kubernetes.io/hostname: %s}
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: none, command: [/bin/sleep, infinity]}]
---
"""
OUTSIDE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: outside}\n---\n" + THIRD % ("plain", "outside", "node-1")
STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: duo}
spec: {mtls: {mode: STRICT}}
"""
DENY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: duo}
spec:
  action: DENY
  selector: {matchLabels: {app: echo}}
  rules: [{from: [{source: {principals: ["cluster.local/ns/duo/sa/default"]}}]}]
"""


@pytest.fixture(scope="module")
def mine() -> Iterator[Mesh]:
    with mesh("classic") as made:
        made.up("--capture", "node", "--no-dns-capture")
        made.apply(PAIR + "---\n" + OUTSIDE)
        made.ready("duo", "client", "echo")
        made.ready("outside", "plain")
        with talking(made, "client", made.address("echo")):  # begun before the capture, it lives through it
            made.enrol("duo")
            made.captured("duo", "client", "echo")
        yield made


def count(mine: Mesh, where: str, table: str, rule: str) -> int:
    saved = run("nsenter", f"--net={mine.layout.netns(where)}", "iptables-save", "-c", "-t", table)
    lines = [line for line in saved.splitlines() if rule in line]
    assert len(lines) == 1, (rule, lines)
    return int(lines[0][1:].partition(":")[0])


STEPS = (
    ("node-1", "mangle", "--match-set ztunnel-pods-ips src -j MARK --set-xmark 0x100/0x100"),
    ("node-1", "filter", "--mark 0x100/0x100 -j ACCEPT"),
    ("node-1-zt", "mangle", "-i pistioout -p tcp -j TPROXY --on-port 15001"),
    ("node-1", "mangle", "-i zt -j MARK --set-xmark 0x210/0x210"),
    ("node-2-zt", "mangle", "-i pistioin -p tcp -m tcp --dport 15008 -j TPROXY --on-port 15008"),
)


def test_the_ten_steps_are_seen_by_counters_and_the_wire_carries_no_plaintext(mine: Mesh) -> None:
    for node, pod in (("node-1", "client"), ("node-2", "echo")):
        listed = run("nsenter", f"--net={mine.layout.netns(node)}", "ipset", "list", "ztunnel-pods-ips")
        assert mine.address(pod) in listed.splitlines()
    address = mine.address("echo")
    route = run("ip", "-n", mine.layout.netns("node-1").name, "route", "get", address, "mark", "0x100")
    assert "via 192.168.127.2 dev istioout" in route
    back = run("ip", "-n", mine.layout.netns("node-2").name, "route", "get", address)
    assert "via 192.168.126.2 dev istioin" in back
    before = [count(mine, *step) for step in STEPS]
    with sniffing(mine.layout.netns("node-2")) as seen:
        mine.inside("client", ONCE, address, "9000")
    moved = [after - earlier for after, earlier in zip((count(mine, *s) for s in STEPS), before, strict=True)]
    assert all(number > 0 for number in moved[:4]), moved
    assert count(mine, *STEPS[4]) > 0  # one tunnel serves many connections: its first packet may be older
    assert seen and not any(b"hello" in packet for packet in seen)


def test_the_other_side_sees_the_clients_address_and_identity(mine: Mesh) -> None:
    mine.inside("client", ONCE, mine.address("echo"), "9000")
    log = mine.layout.node("node-2") / "access.log"

    def told() -> bool:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return any(
            line["direction"] == "inbound"
            and line["mtls"] == "true"
            and line["src.addr"].startswith(mine.address("client") + ":")
            and line["src.identity"] == "spiffe://cluster.local/ns/duo/sa/default"
            for line in lines
        )

    until(told, "an inbound line with mTLS")


def test_without_capture_of_names_the_cluster_s_nameserver_is_asked(mine: Mesh) -> None:
    saved = run("nsenter", f"--net={mine.layout.netns('node-1')}", "ipset", "save", "ztunnel-dns-ips")
    assert not [line for line in saved.splitlines() if line.startswith("add")]
    name, vip = "echo.duo.svc.cluster.local", mine.get(kinds.SERVICE, "echo", "duo")["spec"]["clusterIP"]
    assert json.loads(mine.inside("client", ASK, str(mine.record.plan.dns_service), name, "udp")) == [0, [vip]]
    assert not mine.works("client", ASK, "192.0.2.1", name, "udp", "1", "1"), "nobody else answers"


def test_a_pod_that_comes_and_goes_cuts_no_connection_of_others(mine: Mesh) -> None:
    with talking(mine, "client", mine.address("echo")) as running:
        for node in ("node-1", "node-2"):
            mine.apply(THIRD % (f"third-{node}", "duo", node))
            mine.captured("duo", f"third-{node}")
        for node in ("node-1", "node-2"):
            assert mine.plait("delete", "pod", f"third-{node}", "-n", "duo").returncode == 0
        until(lambda: len(members(mine)) == 1, "the pod left the set")
        assert running.stdout is not None and running.stdout.readline() == "ok\n"


def members(mine: Mesh) -> list[str]:
    saved = run("nsenter", f"--net={mine.layout.netns('node-1')}", "ipset", "save", "ztunnel-pods-ips")
    return [line for line in saved.splitlines() if line.startswith("add")]


@pytest.mark.parametrize(
    "harm",
    [
        "ipset flush ztunnel-pods-ips",
        "ip rule del priority 101",
        "iptables -t mangle -F ztunnel-PREROUTING",
        "ip link del istioout",
    ],
)
@pytest.mark.reliability(number=2)
def test_what_was_removed_comes_back_and_nothing_bypasses_the_proxy_meanwhile(mine: Mesh, harm: str) -> None:
    address = mine.address("echo")
    with sniffing(mine.layout.netns("node-2")) as seen:
        run("nsenter", f"--net={mine.layout.netns('node-1')}", *harm.split())
        until(lambda: mine.works("client", ONCE, address, "9000"), f"repaired after {harm}")
    assert not any(b"hello" in packet for packet in seen)


def test_strict_refuses_a_pod_outside_and_a_denied_principal_is_refused(mine: Mesh) -> None:
    address = mine.address("echo")
    mine.inside("plain", ONCE, address, "9000", namespace="outside")
    mine.apply(STRICT)

    def refused() -> bool:
        running = mine.start("plain", ONCE, address, "9000", namespace="outside")
        running.communicate(timeout=20)
        return running.returncode != 0

    until(refused, "plaintext refused")
    assert mine.works("client", ONCE, address, "9000")
    mine.apply(DENY)
    until(lambda: not mine.works("client", ONCE, address, "9000"), "the principal is denied")
    assert mine.plait("delete", "authorizationpolicy", "deny", "-n", "duo").returncode == 0
    until(lambda: mine.works("client", ONCE, address, "9000"), "allowed again")


def test_un_enrolment_empties_the_set_and_down_leaves_nothing(mine: Mesh) -> None:
    mine.enrol("duo", None)
    mine.captured("duo", "client", "echo", value=False)
    until(lambda: not members(mine), "the set is empty")
    assert mine.plait("down").returncode == 0
    left = traces(mine.name, mine.home)
    assert left["namespaces"] == [] and not {"ztunnel-pods-ips", "ztunnel-dns-ips"} & set(left["sets"])
