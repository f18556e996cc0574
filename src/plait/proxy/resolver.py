"""The mesh's resolver: what captured pods ask of any nameserver arrives here.

What the mesh knows is answered from the node's own copy of it, so also while the control plane is away. Everything else
goes on, in the pod's own name, to the nameserver that was asked, and its answer back as it is.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from plait.base import dns_talk, netns
from plait.base import dns_wire as wire
from plait.base.dns_talk import Asked
from plait.base.dns_wire import Query, Record
from plait.base.observe import logger
from plait.base.wellknown import CAPTURE_PROBE_IP, CAPTURE_PROBE_NAME, DNS_CAPTURE_PORT
from plait.model.views.names import Meaning

_TTL: Final = 5  # seconds; members of headless services come and go
_PATIENCE: Final = 4.0  # seconds for the pod's nameserver; clients ask again after 5
_OURS: Final = frozenset({wire.A, wire.AAAA, wire.ANY, 64, 65})  # and SVCB, HTTPS: their hints would lead around us
_log = logger("names")

Meanings = Callable[[str], Meaning | None]
"""What a name means to one pod."""
End = tuple[str, int]


class Clients(Protocol):
    """Whose questions arrive at a resolver, and what it may do in their name."""

    def meanings(self, client: str) -> Meanings | None:
        """What names mean to who asks from this address; None for somebody who is not served here."""
        ...

    def origin(self, asked: Asked) -> End | None:
        """The nameserver that a redirected question was meant for."""
        ...

    def asking(self, client: str, server: End, *, tcp: bool) -> socket.socket:
        """A socket for the same question in the client's name, which our own redirect leaves alone. Blocking."""
        ...

    def close(self) -> None: ...


def reply(meaning: Meanings, message: bytes, *, tcp: bool = False) -> bytes | None:
    """The answer to a question about the mesh; None when it is to be sent on; b"" when it deserves no reply."""
    query = wire.parse(message)
    if query is None:
        return wire.refusal(message) or b""
    if query.type not in _OURS:
        return None
    if query.name == CAPTURE_PROBE_NAME:
        return wire.answer(query, wire.NO_ERROR, [wire.address(query.name, CAPTURE_PROBE_IP, 0)], tcp=tcp)
    found = meaning(query.name)
    return None if found is None else _said(query, found, tcp)


def _said(query: Query, found: Meaning, tcp: bool) -> bytes:
    owner = found.hostname if found.alias else query.name
    records = [wire.address(owner, address, _TTL) for address in found.addresses]
    chosen = [record for record in records if query.type in (record.type, wire.ANY)]
    # Clients take the first address: turn the list with the query's own number, which is random.
    turn = query.id % len(chosen) if chosen else 0
    alias: list[Record] = [wire.pointer(query.name, wire.CNAME, owner, _TTL)] if found.alias else []
    soa = [] if chosen else [wire.authority(owner, _TTL)]
    return wire.answer(query, wire.NO_ERROR, [*alias, *chosen[turn:], *chosen[:turn]], soa, tcp=tcp)


class Resolver:
    """On sockets inside one namespace, at these addresses (one a family)."""

    def __init__(self, space: Path, addresses: Iterable[str], clients: Clients) -> None:
        self._space, self._addresses, self._clients = space, tuple(addresses), clients
        self._servers: list[dns_talk.Server] = []

    async def start(self) -> None:
        for address in self._addresses:
            made = await asyncio.to_thread(netns.call, self._space, dns_talk.sockets, address, DNS_CAPTURE_PORT)
            self._servers.append(dns_talk.Server(self._answer, *made))
            await self._servers[-1].start()

    async def close(self) -> None:
        for server in self._servers:
            await server.close()
        self._clients.close()

    async def _answer(self, asked: Asked) -> bytes:
        meanings = self._clients.meanings(asked.client[0])
        if meanings is None:
            return b""
        said = reply(meanings, asked.message, tcp=asked.tcp)
        return said if said is not None else await self._sent_on(asked)

    async def _sent_on(self, asked: Asked) -> bytes:
        try:
            server = self._clients.origin(asked)
            if server is not None and server not in ((own, DNS_CAPTURE_PORT) for own in self._addresses):
                ask = dns_talk.ask_tcp if asked.tcp else dns_talk.ask_udp
                async with asyncio.timeout(_PATIENCE):
                    asking = partial(self._clients.asking, asked.client[0], server, tcp=asked.tcp)
                    return await ask(await asyncio.to_thread(asking), server, asked.message)
        except (OSError, TimeoutError, EOFError) as error:
            _log.debug("nameserver failed", space=self._space.name, error=repr(error))
        return wire.refusal(asked.message, wire.SERVER_FAILURE) or b""
