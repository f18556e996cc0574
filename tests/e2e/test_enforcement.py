"""Policy changes and connections that are already open: what is denied now is cut, what is allowed lives."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from kit.asking import policy, said, who
from kit.dataplane import DataPlane, running
from kit.netlab import echo
from plait.app.enforcement import Enforcement
from plait.model.policies import Match, Policy, Range, Text

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]

WITHOUT_IDENTITY = Match(not_principals=(Text("presence"),))


@pytest.fixture(scope="module")
def shared() -> Iterator[DataPlane]:
    with running() as plane:
        for port in (8080, 8081):
            plane.lab.serve("b1", port, echo)
        yield plane


@pytest.fixture
def plane(shared: DataPlane) -> DataPlane:
    shared.reset()
    return shared


@contextlib.contextmanager
def opened(plane: DataPlane, *clients: tuple[str, int]) -> Iterator[dict[tuple[str, int], socket.socket]]:
    """Long connections to b1 by (pod, port), each greeted."""
    with contextlib.ExitStack() as stack:
        found = {}
        for pod, port in clients:
            connection = stack.enter_context(plane.lab.connect(pod, plane.lab.address("b1"), port))
            assert said(connection) == f"{plane.lab.address(pod)}\n".encode()
            found[pod, port] = connection
        yield found


def enforce(plane: DataPlane, *policies: Policy) -> int:
    """What the agent does with a change; how many connections it cut within its second."""

    async def act() -> int:
        enforcement = Enforcement()
        old = plane.view("nb")
        plane.change(policies=policies)
        enforcement.changed(old, plane.view("nb"))
        async with asyncio.timeout(1):
            await asyncio.gather(*enforcement._due.values())
        return enforcement.cut

    return asyncio.run(act())


def alive(connection: socket.socket) -> bool:
    connection.settimeout(1)
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(b"still here")
        return said(connection) == b"still here"
    return False


CLIENTS = (("a1", 8080), ("a1", 8081), ("a2", 8080), ("plain", 8080), ("plain", 8081))


@pytest.mark.parametrize(
    ("policies", "denied"),
    [
        ([policy("deny", who("a1"))], {("a1", 8080), ("a1", 8081)}),
        ([policy("allow", who("a1"))], {("a2", 8080), ("plain", 8080), ("plain", 8081)}),
        ([policy("deny", Match(destination_ports=(8081,)))], {("a1", 8081), ("plain", 8081)}),
        ([policy("deny", WITHOUT_IDENTITY)], {("plain", 8080), ("plain", 8081)}),
        (
            [policy("deny", Match(not_principals=(Text("presence"),), destination_ports=(8080,)))],
            {("plain", 8080)},
        ),
        ([policy("deny", who("a1"), dry_run=True)], set()),
        ([policy("allow", Match(namespaces=(Text("exact", "default"),)))], {("plain", 8080), ("plain", 8081)}),
        ([policy("allow", Match(source_ips=(Range("0.0.0.0", 0),)))], set()),
    ],
    ids=["deny one", "allow one", "deny a port", "strict", "strict on a port", "dry run", "namespace", "everybody"],
)
def test_exactly_the_connections_that_are_denied_now_are_cut(
    plane: DataPlane, policies: list[Policy], denied: set[tuple[str, int]]
) -> None:
    with opened(plane, *CLIENTS) as connections:
        assert enforce(plane, *policies) == len(denied)
        assert {client for client, connection in connections.items() if not alive(connection)} == denied


def test_a_policy_that_is_taken_away_cuts_nobody(plane: DataPlane) -> None:
    plane.change(policies=[policy("allow", who("a1"))])
    with opened(plane, ("a1", 8080)) as connections:
        assert enforce(plane) == 0
        assert alive(connections["a1", 8080])


def test_what_is_allowed_outlives_the_proxys_drain_time(plane: DataPlane) -> None:
    with opened(plane, ("a1", 8080), ("a2", 8080), ("plain", 8081)) as connections:
        assert enforce(plane, policy("deny", who("a1"))) == 1
        time.sleep(2.5)  # the drain time here is 2 s: a filter chain that changed would have ended its connections
        assert not alive(connections["a1", 8080])
        assert alive(connections["a2", 8080])
        assert alive(connections["plain", 8081])
