"""Holds connections to waypoints that sleep, has them woken, and carries the bytes once they are up.

A port for each waypoint says whom a connection is for. It is carried as it is: TLS goes from client to waypoint, so the
activator can neither read nor answer anything. The client's address is said in a PROXY header, to a listener of the
waypoint that believes nobody else. Nobody has to be ready first: a waypoint that accepts has its configuration.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from plait.base import aio
from plait.base.observe import logger
from plait.base.wellknown import HBONE_PORT, HELD_PORT

Key = tuple[str, str]
_log = logger("activator")
HOLD = 30.0
"""Seconds a connection is held; then it is closed, and its client sees a failed connection."""
MOST = 1024
"""Connections held for one waypoint at a time; further ones are closed at once."""
_AGAIN, _ATTEMPT, _BLOCK = 0.01, 0.25, 1 << 16
_FIRST_PORT, _PORTS = 20000, 10000
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n\x21"  # version 2, command PROXY


def header(client: tuple[str, int], server: tuple[str, int]) -> bytes:
    """Who is at the other end, as a PROXY header of version 2."""
    ends = ip_address(client[0]).packed + ip_address(server[0]).packed + struct.pack("!HH", client[1], server[1])
    return _SIGNATURE + struct.pack("!BH", 0x21 if ":" in client[0] else 0x11, len(ends)) + ends


class Activator:
    """`await port(key)` opens a waypoint's door, `forget(key)` closes it; `busy(key)`: how many wait now.

    `wake(key)` is called again and again while somebody waits; `addresses(key)`: where the waypoint's pods are, the
    best first, whether they are ready or not.
    """

    def __init__(self, address: str, wake: Callable[[Key], None], addresses: Callable[[Key], Sequence[str]]) -> None:
        self.address, self._wake, self._addresses = address, wake, addresses
        self._doors: dict[Key, tuple[socket.socket, asyncio.Task[None]]] = {}
        self._carrying: set[asyncio.Task[None]] = set()
        self._finding: dict[Key, asyncio.Task[str]] = {}
        self._held: Counter[Key] = Counter()

    async def port(self, key: Key) -> int:
        """The port at which connections for this waypoint arrive; the same after a restart, where it is free."""
        if key not in self._doors:
            door = self._bound(key)
            self._doors[key] = door, aio.spawn(self._accept(key, door), f"activator of {'/'.join(key)}")
        return int(self._doors[key][0].getsockname()[1])

    def forget(self, key: Key) -> None:
        """What it carries goes on."""
        if (found := self._doors.pop(key, None)) is not None:
            found[1].cancel()
            found[0].close()

    def busy(self, key: Key) -> int:
        return self._held[key]

    async def close(self) -> None:
        tasks = [task for _, task in self._doors.values()]
        for key in list(self._doors):
            self.forget(key)
        await aio.cancel(*tasks, *self._carrying, *self._finding.values())

    def _bound(self, key: Key) -> socket.socket:
        door = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET)
        door.setblocking(False)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        usual = _FIRST_PORT + random.Random("/".join(key)).randrange(_PORTS)
        for port in (usual, 0):
            try:
                door.bind((self.address, port))
                break
            except OSError:
                if not port:
                    door.close()
                    raise
        door.listen(MOST)
        return door

    async def _accept(self, key: Key, door: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(door)
            except OSError as error:  # the client went meanwhile, or we have too many files open
                _log.warning("not accepted", waypoint="/".join(key), error=error)
                await asyncio.sleep(_AGAIN)
                continue
            client.setblocking(False)
            if self._held[key] >= MOST:
                client.close()
                continue
            task = aio.spawn(self._serve(key, client), f"held connection to {'/'.join(key)}")
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

    async def _serve(self, key: Key, client: socket.socket) -> None:
        try:
            with client:
                self._held[key] += 1
                try:
                    async with asyncio.timeout(HOLD):
                        server = await self._connected(key, client)
                except TimeoutError:
                    _log.warning("waypoint does not come up; a held connection is closed", waypoint="/".join(key))
                    return
                finally:
                    self._held[key] -= 1
                with server:
                    await carry(client, server)
        except OSError as error:
            _log.debug("held connection ended", waypoint="/".join(key), error=error)

    async def _connected(self, key: Key, client: socket.socket) -> socket.socket:
        """A connection to the first pod of the waypoint that accepts one."""
        peer = client.getpeername()[:2]
        while True:
            if self._finding.get(key) is None:
                self._finding[key] = aio.spawn(self._find(key), f"waiting for {'/'.join(key)}")
            address = await asyncio.shield(self._finding[key])
            if address and (server := await self._attempt(address)) is not None:
                await asyncio.get_running_loop().sock_sendall(server, header(peer, (address, HBONE_PORT)))
                return server

    async def _find(self, key: Key) -> str:
        """Once for all who wait: have it woken, and give the address of a pod that accepts; "" when nobody waits."""
        try:
            while self._held[key]:
                self._wake(key)
                for address in self._addresses(key):
                    if (server := await self._attempt(address)) is not None:
                        server.close()
                        return address
                await asyncio.sleep(_AGAIN)
            return ""
        finally:
            del self._finding[key]

    async def _attempt(self, address: str) -> socket.socket | None:
        server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        server.setblocking(False)
        try:
            server.bind((self.address, 0))  # the address that the waypoint knows us by
            async with asyncio.timeout(_ATTEMPT):
                await asyncio.get_running_loop().sock_connect(server, (address, HELD_PORT))
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return server
        except (OSError, TimeoutError):
            server.close()
            return None
        except BaseException:
            server.close()
            raise


async def carry(one: socket.socket, other: socket.socket) -> None:
    """Bytes both ways until both ends said that no more come, or one broke."""
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ways = [aio.spawn(_pour(*ends), "carrying") for ends in ((one, other), (other, one))]
    try:
        await asyncio.gather(*ways)
    finally:
        await aio.cancel(*ways)


async def _pour(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    try:
        while data := await loop.sock_recv(source, _BLOCK):
            await loop.sock_sendall(sink, data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
    except OSError:  # reset: the other side is to see an end too
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
