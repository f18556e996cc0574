"""Which connections has the node proxy opened towards a pod's application, and how is one of them cut?

They are sockets inside the pod's namespace, bound to the client's address; their mark tells a tunnel's from a plaintext
one. The kernel lists and destroys them by netlink (CONFIG_INET_DIAG_DESTROY); both ends are then reset.
Who may stay is not decided here.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from msgspec import Struct

from plait.base import netns
from plait.base.wellknown import CLASSIC_MARK, CLASSIC_TUNNEL_MARK, HBONE_PORT, PROXY_MARK, TUNNEL_MARK

_TUNNELS: Final = (TUNNEL_MARK, CLASSIC_TUNNEL_MARK)
_SOCK_DIAG: Final = 4  # netlink family
_BY_FAMILY, _DESTROY = 20, 21
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_MARK: Final = 15
# established, SYN sent, FIN wait 1 and 2, close wait: whatever may still carry data
_STATES: Final = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 8
_HEADER, _QUERY = struct.Struct("=IHHII"), struct.Struct("=BBBBI")
_TUPLE: Final = 48  # bytes of inet_diag_sockid


class Connection(Struct, frozen=True, gc=False):
    """From a client to the pod's application, as opened by the proxy. `handle` is the kernel's name for it."""

    source: str
    destination: str
    port: int
    tunnel: bool
    family: int
    handle: bytes

    @property
    def in_mesh(self) -> bool:
        """Is it a tunnel between proxies, or does it come out of one?"""
        return self.tunnel or HBONE_PORT in (self.port, struct.unpack_from("!H", self.handle)[0])


async def inbound(path: Path) -> list[Connection]:
    """The proxy's connections towards the applications of this namespace."""
    return await asyncio.to_thread(netns.call, path, _inbound)


async def cut(path: Path, connections: Iterable[Connection]) -> int:
    """Reset these connections; how many were still there. OSError when this kernel cannot."""
    chosen = list(connections)
    return await asyncio.to_thread(netns.call, path, _cut, chosen) if chosen else 0


def _inbound() -> list[Connection]:
    with _netlink() as kernel:
        return [found for family in (socket.AF_INET, socket.AF_INET6) for found in _listed(kernel, family)]


def _netlink() -> socket.socket:
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
    kernel.settimeout(5)
    kernel.bind((0, 0))
    return kernel


def _send(kernel: socket.socket, kind: int, flags: int, body: bytes) -> None:
    kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : length]
        data = data[length + 3 & ~3 :]


def _listed(kernel: socket.socket, family: int) -> Iterator[Connection]:
    _send(kernel, _BY_FAMILY, _DUMP, _QUERY.pack(family, socket.IPPROTO_TCP, 0, 0, _STATES) + bytes(_TUPLE))
    while True:
        for kind, body in _messages(kernel.recv(1 << 18)):
            if kind == _DONE:
                return
            if kind == _ERROR:
                number = -struct.unpack_from("=i", body)[0]
                raise OSError(number, "the kernel does not list sockets (CONFIG_INET_DIAG)")
            if (found := _connection(body)) is not None:
                yield found


def _connection(body: bytes) -> Connection | None:
    """One inet_diag_msg: family, state, timer, retransmissions; then the tuple; then numbers; then attributes."""
    mark = next((struct.unpack("=I", value)[0] for kind, value in _attributes(body[72:]) if kind == _MARK), 0)
    if mark not in (*_TUNNELS, PROXY_MARK, CLASSIC_MARK):
        return None
    handle = body[4 : 4 + _TUPLE]
    size = 4 if body[0] == socket.AF_INET else 16
    local, remote = handle[4 : 4 + size], handle[20 : 20 + size]
    port = struct.unpack_from("!H", handle, 2)[0]
    return Connection(str(ip_address(local)), str(ip_address(remote)), port, mark in _TUNNELS, body[0], handle)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind, data[4:length]
        data = data[length + 3 & ~3 :]


def _cut(connections: list[Connection]) -> int:
    count = 0
    with _netlink() as kernel:
        for each in connections:
            query = _QUERY.pack(each.family, socket.IPPROTO_TCP, 0, 0, _STATES)
            _send(kernel, _DESTROY, _ACK, query + each.handle)
            for kind, body in _messages(kernel.recv(1 << 16)):
                number = -struct.unpack_from("=i", body)[0] if kind == _ERROR else 0
                if number == 0:
                    count += 1
                elif number != 2:  # ENOENT: it ended by itself
                    raise OSError(number, "the kernel does not destroy sockets (CONFIG_INET_DIAG_DESTROY)")
    return count
