"""The resolver of one node: sockets around `zone.Zone`, UDP and TCP; what is not the mesh's goes to the host's own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from plait.base import aio
from plait.base.observe import logger
from plait.local import dns_wire as wire
from plait.local.addresses import AddressPlan
from plait.local.zone import Zone
from plait.resources.kinds import ENDPOINT_SLICE, SERVICE, SERVICE_ENTRY
from plait.store.api import Api
from plait.store.informer import Informer

_PATIENCE = 2.0  # seconds for one upstream
_IDLE = 10.0  # seconds for a TCP client to say something
_SETTLE = 0.02
_log = logger("dns")


def upstreams(resolv_conf: Path = Path("/etc/resolv.conf")) -> tuple[str, ...]:
    """The host's resolvers; empty where there are none."""
    try:
        lines = resolv_conf.read_text().splitlines()
    except OSError:
        return ()
    words = [line.split() for line in lines]
    return tuple(w[1] for w in words if len(w) > 1 and w[0] == "nameserver" and "%" not in w[1])


class Resolver:
    """Answers from `zone`, which may be replaced at any time."""

    def __init__(self, zone: Zone, forward: Sequence[str] = ()) -> None:
        self.zone = zone
        self._forward = tuple(forward)

    async def resolve(self, message: bytes, *, tcp: bool) -> bytes:
        """The reply; b"" for none."""
        reply = self.zone.answer(message, tcp=tcp)
        if reply is not None:
            return reply
        for upstream in self._forward:
            try:
                async with asyncio.timeout(_PATIENCE):
                    return await (_ask_tcp if tcp else _ask_udp)(upstream, message)
            except (OSError, TimeoutError, EOFError) as error:
                _log.debug("upstream failed", upstream=upstream, error=repr(error))
        return wire.refusal(message, wire.SERVER_FAILURE) or b""

    async def serve(self, address: str, port: int = 53) -> None:
        """Listen in the current network namespace until cancelled."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(address, port))
        talks: set[asyncio.Task[Any]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            talks.add(task := aio.spawn(self._connection(reader, writer), "dns connection"))
            task.add_done_callback(talks.discard)

        try:
            async with await asyncio.start_server(accept, address, port) as server:
                await server.serve_forever()
        finally:
            transport.close()
            await aio.cancel(*talks)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(_IDLE):
                    size = int.from_bytes(await reader.readexactly(2))
                    message = await reader.readexactly(size)
                reply = await self.resolve(message, tcp=True)
                if not reply:
                    return
                writer.write(len(reply).to_bytes(2) + reply)
                await writer.drain()
        except (OSError, TimeoutError, EOFError):
            return  # the client left
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # 3.11's own transport is no subclass of the class that describes it.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        aio.spawn(self._answer(data, addr), "dns query")

    async def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = await self._resolver.resolve(data, tcp=False)
        if reply and self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(reply, addr)


class _Question(asyncio.DatagramProtocol):
    def __init__(self, message: bytes) -> None:
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._number = message[:2]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data[:2] == self._number and not self.reply.done():
            self.reply.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(exc)


async def _ask_udp(upstream: str, message: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, question = await loop.create_datagram_endpoint(lambda: _Question(message), remote_addr=(upstream, 53))
    try:
        transport.sendto(message)
        return await question.reply
    finally:
        transport.close()


async def _ask_tcp(upstream: str, message: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(upstream, 53)
    try:
        writer.write(len(message).to_bytes(2) + message)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
    finally:
        writer.close()


async def run(api: Api, plan: AddressPlan, address: str, *, forward: Sequence[str] = (), port: int = 53) -> None:
    """Follow the API and serve on `address` of the current network namespace until cancelled."""
    informers = [Informer(api, kind) for kind in (SERVICE, ENDPOINT_SLICE, SERVICE_ENTRY)]
    changed = asyncio.Event()
    for informer in informers:
        informer.on_change(lambda old, new: changed.set())
    resolver = Resolver(Zone(network=plan.network), forward)
    tasks = [aio.spawn(informer.run(), f"informer {informer.kind}") for informer in informers]
    tasks.append(aio.spawn(resolver.serve(address, port), "dns sockets"))
    tasks.append(aio.spawn(_follow(informers, changed, resolver, plan), "dns zone"))
    try:
        await asyncio.gather(*tasks)
    finally:
        await aio.cancel(*tasks)


async def _follow(informers: Sequence[Informer], changed: asyncio.Event, resolver: Resolver, plan: AddressPlan) -> None:
    while True:
        changed.clear()
        resolver.zone = Zone(*(informer.cache.values() for informer in informers), network=plan.network)
        await changed.wait()
        await asyncio.sleep(_SETTLE)
