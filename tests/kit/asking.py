"""What a data plane test asks of a `DataPlane`: a connection, a server that speaks first, a policy in one line."""

from __future__ import annotations

import contextlib
import socket

from plait.model.policies import Group, Match, Policy, Rule, Text

from .dataplane import NAMESPACE, DataPlane, identity

GREETING = b"220 server speaks first\r\n"


def policy(action: str, match: Match, name: str = "p", **more: object) -> Policy:
    return Policy(name, NAMESPACE, "namespace", action, (Group((Rule((match,)),)),), **more)  # type: ignore[arg-type]


def who(pod: str) -> Match:
    return Match(principals=(Text("exact", identity(pod).removeprefix("spiffe://")),))


def said(connection: socket.socket, size: int = 4096) -> bytes:
    """What arrives; nothing when the other side ends or resets the connection."""
    with contextlib.suppress(ConnectionError):
        return connection.recv(size)
    return b""


def ask(plane: DataPlane, source: str, address: str, port: int = 8080) -> bytes:
    """One connection that waits for the server to speak, and what it said."""
    with contextlib.suppress(ConnectionError), plane.lab.connect(source, address, port) as connection:
        return said(connection)
    return b""


def greeted(plane: DataPlane, pod: str, port: int) -> list[str]:
    """A server-first server in a pod. Returns the list in which it notes who connected."""
    seen: list[str] = []

    def handler(connection: socket.socket, client: tuple[str, int]) -> None:
        seen.append(client[0])
        connection.sendall(GREETING)
        connection.recv(1)

    plane.lab.serve(pod, port, handler)
    return seen
