"""Capture in real namespaces: rules applied, verified, repaired, removed without trace; and a whole node agent."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.netlab import private_run, run
from plait.base import netns
from plait.node import netfilter, probe, routing, rules

pytestmark = pytest.mark.e2e
RULE = rules.PolicyRule()


@pytest.fixture
def space() -> Iterator[Path]:
    private_run()
    path = Path(f"/run/netns/h8-capture-{os.getpid():x}")
    netns.create(path)
    try:
        run("ip", "-n", path.name, "link", "set", "lo", "up")
        run("ip", "-n", path.name, "address", "add", "10.98.0.1/32", "dev", "lo")
        run("ip", "-n", path.name, "route", "add", "default", "dev", "lo")
        yield path
    finally:
        netns.remove(path)


async def everything(space: Path) -> tuple[str, str, str]:
    saved = "\n".join(line for line in (await netfilter.saved(space)).splitlines() if "ISTIO" in line)
    return saved, run("ip", "-n", space.name, "rule"), run("ip", "-n", space.name, "route", "show", "table", "all")


async def test_capture_is_applied_once_verified_and_removed_without_trace(space: Path) -> None:
    before = await everything(space)
    assert routing.apply(space, RULE) and await netfilter.apply(space, rules.capture())
    assert not routing.apply(space, RULE) and not await netfilter.apply(space, rules.capture())
    assert routing.verify(space, RULE) and await netfilter.verify(space, rules.capture())
    assert "fwmark 0x111/0xfff lookup 100" in run("ip", "-n", space.name, "rule")
    assert "local default dev lo" in run("ip", "-n", space.name, "route", "show", "table", "100")
    assert await netfilter.remove(space) and routing.remove(space, RULE)
    assert await everything(space) == before


@pytest.mark.parametrize(
    "harm",
    ["-t nat -F ISTIO_OUTPUT", "-t nat -D PREROUTING -j ISTIO_PRERT", "-t mangle -A ISTIO_OUTPUT -j RETURN"],
)
async def test_rules_changed_by_hand_are_noticed_and_repaired(space: Path, harm: str) -> None:
    await netfilter.apply(space, rules.capture())
    run("nsenter", f"--net={space}", "iptables", *harm.split())
    assert not await netfilter.verify(space, rules.capture())
    await netfilter.apply(space, rules.capture())
    assert await netfilter.verify(space, rules.capture())


async def test_other_peoples_rules_stay(space: Path) -> None:
    run("nsenter", f"--net={space}", "iptables", "-t", "nat", "-A", "OUTPUT", "-d", "192.0.2.1/32", "-j", "ACCEPT")
    await netfilter.apply(space, rules.capture())
    await netfilter.remove(space)
    assert "-A OUTPUT -d 192.0.2.1/32 -j ACCEPT" in await netfilter.saved(space)


async def test_probe_fails_without_rules_and_without_a_proxy_and_succeeds_with_both(space: Path) -> None:
    with pytest.raises(probe.NotCaptured):
        await probe.outbound(space, timeout=0.3)
    await netfilter.apply(space, rules.capture())
    # The default route of this namespace is lo; only there do the rules leave non-loopback addresses alone.
    _veth(space)
    with pytest.raises(probe.NotCaptured):
        await probe.outbound(space, timeout=0.3)
    with netns.inside(space), socket.create_server(("127.0.0.1", 15001)):
        await probe.outbound(space)


def _veth(space: Path) -> None:
    name = space.name
    run("ip", "-n", name, "link", "add", "out0", "type", "veth", "peer", "name", "out1")
    for link in ("out0", "out1"):
        run("ip", "-n", name, "link", "set", link, "up")
    run("ip", "-n", name, "route", "replace", "default", "dev", "out0")


@pytest.mark.envoy
def test_node_agent_captures_repairs_releases_and_survives_its_envoy(tmp_path: Path) -> None:
    private_run()
    command = ["unshare", "-n", sys.executable, "-m", "kit.agents", str(tmp_path)]
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=100, env={**os.environ, "PYTHONPATH": paths}, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    seen = json.loads(done.stdout)
    assert seen["phases"] == ["in", "in"]
    assert seen["announced"] == ["enabled", "enabled"] and seen["retracted"] == [None, None]
    assert seen["client"] == seen["back"] == seen["after crash"] == "10.99.1.11", "the client's real address"
    assert seen["tightened"] == {"denied ended": True, "within a second": True, "allowed lives": True}
    assert seen["repaired"] and seen["left"] == 0
    inbound = [line for line in seen["log"] if line["direction"] == "inbound"]
    assert inbound and {line["mtls"] for line in inbound} == {"true"}
    assert {line["src.identity"] for line in inbound} == {"spiffe://cluster.local/ns/shop/sa/one"}


async def test_connections_that_live_already_survive_the_rules_and_new_ones_are_redirected(space: Path) -> None:
    name, other = space.name, Path(f"{space}-peer")
    netns.create(other)
    try:
        run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", other.name)
        for where, address in ((name, "10.98.1.1/24"), (other.name, "10.98.1.2/24")):
            run("ip", "-n", where, "link", "set", "lo", "up")
            run("ip", "-n", where, "link", "set", "eth0", "up")
            run("ip", "-n", where, "address", "add", address, "dev", "eth0")
        with netns.inside(other):
            server = socket.create_server(("10.98.1.2", 7000))
            inbound = socket.socket()
        with netns.inside(space):
            application = socket.create_server(("10.98.1.1", 7000))
            outbound, later = socket.socket(), socket.socket()
        inbound.connect(("10.98.1.1", 7000))
        outbound.connect(("10.98.1.2", 7000))
        pairs = [(inbound, application.accept()[0]), (outbound, server.accept()[0])]
        assert await netfilter.adopt(space) == 2
        await netfilter.apply(space, rules.capture())
        for near, far in pairs:
            for one, two in ((near, far), (far, near)):
                two.settimeout(3)
                one.sendall(b"x")
                assert two.recv(1) == b"x"
        with pytest.raises(ConnectionRefusedError):  # redirected to 15001, where nobody listens
            later.connect(("10.98.1.2", 7000))
        for each in (server, application, later, *(end for pair in pairs for end in pair)):
            each.close()
    finally:
        netns.remove(other)
