"""Whose resolver answers whom when one serves a node."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plait.app import shared_resolver
from plait.app.shared_resolver import Shared
from plait.node.forms import Target
from plait.proxy import resolver

SPACE = Path("/proc/self/ns/net")


def target(name: str, *addresses: str) -> Target:
    return Target(name, "shop", name, "default", SPACE, addresses, True)


def test_a_shared_resolver_knows_pods_by_their_addresses_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[resolver.Clients] = []

    class Silent:
        def __init__(self, space: Path, addresses: tuple[str, ...], clients: resolver.Clients) -> None:
            made.append(clients)

        async def start(self) -> None: ...

        async def close(self) -> None: ...

    monkeypatch.setattr(shared_resolver, "Resolver", Silent)
    shared = Shared(SPACE, SPACE, ("10.0.0.1",), lambda namespace: {"web": None}.get)
    pod = target("a", "10.0.0.2", "fd00::2")

    async def body() -> None:
        await shared.serve(pod)
        await shared.serve(target("b", "10.0.0.3"))

    asyncio.run(body())
    (clients,) = made
    assert all(clients.meanings(address) is not None for address in ("10.0.0.2", "fd00::2", "10.0.0.3"))
    assert clients.meanings("10.0.0.9") is None
    asyncio.run(shared.withdraw(pod))
    assert clients.meanings("fd00::2") is None and clients.meanings("10.0.0.3") is not None
