"""A tunnel leads to what the proxy at its end is for, and nowhere else: no open relay, at waypoint and sidecar."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO

import pytest

from kit import abuse, calls, tunnel
from kit.doors import POD, VIP, Doors

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.reliability(number=32)]
ROLES = ("waypoint", "sidecar")


class Private:
    """What only the proxy's own machine may reach: it counts who came, and greets him."""

    def __init__(self) -> None:
        self.visits = 0

    def __call__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self.visits += 1
        writer.write(b"private\n")


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with ExitStack() as held:
        yield Doors(held, tmp_path_factory.mktemp("targets"), "base", ROLES, abuse.Recorder())


@pytest.fixture(scope="module")
def private() -> Iterator[tuple[Private, int]]:
    found = Private()
    with calls.served(found) as port:
        yield found, port


TARGETS = (
    "127.0.0.1:{port}",
    "127.1:{port}",
    "2130706433:{port}",
    "0x7f000001:{port}",
    "localhost:{port}",
    "0.0.0.0:{port}",
    "[::1]:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "127.0.0.1:0{port}",
    "127.0.0.3:{port}",
    "{vip}@127.0.0.1:{port}",
    "{vip}:{port}",
    "169.254.169.254:80",
    "[fd00:ec2::254]:80",
    "metadata.google.internal:80",
    "10.64.9.9:8080",
    "{vip}:81",
    "{vip}:15000",
    "{pod}:15000",
    "{pod}:{outbound}",
    "{pod}:{inbound}",
    "{pod}:{hbone}",
    "{pod}:0{hbone}",
    "{pod}:+{hbone}",
    "{pod}: {hbone}",
    "web.shop.svc.cluster.local:15000",
    "*:{port}",
    ":{port}",
    "",
)


@pytest.mark.parametrize("role", ROLES)
def test_a_connect_to_anything_that_is_not_served_there_reaches_nobody(
    doors: Doors, private: tuple[Private, int], role: str
) -> None:
    server, port = private
    tls, where = doors.tls(), (POD if role == "sidecar" else "127.0.0.1", doors.ports[role])
    own = {"outbound": doors.options.outbound_port, "inbound": doors.options.inbound_port, "hbone": doors.ports[role]}
    served = {}
    for target in TARGETS:
        authority = target.format(port=port, vip=VIP, pod=POD, **own)
        plain = socket.create_connection(where, 5)
        answer = tunnel.connect(plain, tls, authority, send=abuse.HONEST, wait_for_data=True)
        if answer.status == "200" and answer.data:
            served[authority] = answer
    assert (served, server.visits) == ({}, 0)
    assert b" 200 " in doors.send[role](abuse.HONEST)


@pytest.mark.parametrize("role", ROLES)
def test_a_tunnel_within_a_tunnel_reaches_nobody(doors: Doors, private: tuple[Private, int], role: str) -> None:
    """As HTTP/2 and as HTTP/1.1, spoken to the application that the outer one leads to."""
    server, port = private
    for target in (f"127.0.0.1:{port}", "169.254.169.254:80", f"{POD}:{doors.ports[role]}"):
        abuse.told(doors.opened[role], [(b":method", b"CONNECT"), (b":authority", target.encode())], b"")
        answer = abuse.asked(doors.opened[role], f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n".encode())
        assert answer.split(b"\r\n")[0].split(b" ")[1:2] in ([], [b"403"], [b"404"]), answer
    assert server.visits == 0
