"""Where redirected packets were really sent to: the connection tracking of who redirected them knows.

TCP sockets can be asked themselves (SO_ORIGINAL_DST), but only in the namespace that redirects; an unconnected UDP
socket cannot. One netlink socket is kept for each namespace, so a question costs one message to the kernel and back.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from plait.base import netns

_NETFILTER: Final = 12  # netlink family
_GET: Final = 1 << 8 | 1  # ctnetlink, get
_REQUEST: Final = 1
_HEADER, _GENERIC = struct.Struct("=IHHII"), struct.Struct("!BBH")
_NESTED: Final = 1 << 15
_TYPE: Final = 0x3FFF
_ORIGINAL, _REPLY = 1, 2  # tuples of an entry
_IP, _PROTOCOL = 1, 2  # parts of a tuple
_NUMBER, _FROM_PORT, _TO_PORT = 1, 2, 3
_SO_ORIGINAL_DST: Final = 80  # of both families

End = tuple[str, int]


class Translations:
    """Of one network namespace."""

    def __init__(self, space: Path) -> None:
        self._kernel = netns.call(space, _netlink)

    def original(self, client: End, local: End, protocol: int = socket.IPPROTO_UDP) -> End | None:
        """Where what came from `client` to our socket at `local` was sent; None when nobody knows."""
        family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
        entry = _attribute(_REPLY | _NESTED, _tuple(local, client, family, protocol))
        body = _GENERIC.pack(family, 0, 0) + entry
        self._kernel.send(_HEADER.pack(_HEADER.size + len(body), _GET, _REQUEST, 1, 0) + body)
        data = self._kernel.recv(1 << 16)
        kind = _HEADER.unpack_from(data)[1]
        if kind != _GET - 1:  # answers are of the type "new"; anything else is an error
            return None
        for name, value in _attributes(data[_HEADER.size + _GENERIC.size :]):
            if name == _ORIGINAL:
                return _destination(value, family)
        return None

    def close(self) -> None:
        self._kernel.close()


def dialled(connection: socket.socket) -> End | None:
    """Where the client of a redirected TCP connection wanted to go."""
    try:
        if connection.family == socket.AF_INET6:
            raw = connection.getsockopt(socket.IPPROTO_IPV6, _SO_ORIGINAL_DST, 28)
            return socket.inet_ntop(socket.AF_INET6, raw[8:24]), int.from_bytes(raw[2:4])
        raw = connection.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
    except OSError:
        return None
    return socket.inet_ntop(socket.AF_INET, raw[4:8]), int.from_bytes(raw[2:4])


def _netlink() -> socket.socket:
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
    kernel.settimeout(1)
    kernel.bind((0, 0))
    return kernel


def _tuple(source: End, destination: End, family: int, number: int) -> bytes:
    first, second = (1, 2) if family == socket.AF_INET else (3, 4)
    ip = _attribute(first, socket.inet_pton(family, source[0]))
    ip += _attribute(second, socket.inet_pton(family, destination[0]))
    protocol = _attribute(_NUMBER, bytes([number]))
    protocol += _attribute(_FROM_PORT, struct.pack("!H", source[1]))
    protocol += _attribute(_TO_PORT, struct.pack("!H", destination[1]))
    return _attribute(_IP | _NESTED, ip) + _attribute(_PROTOCOL | _NESTED, protocol)


def _destination(value: bytes, family: int) -> End | None:
    parts = dict(_attributes(value))
    address = dict(_attributes(parts.get(_IP, b""))).get(2 if family == socket.AF_INET else 4)
    port = dict(_attributes(parts.get(_PROTOCOL, b""))).get(_TO_PORT)
    if address is None or port is None:
        return None
    return socket.inet_ntop(family, address), int.from_bytes(port)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind & _TYPE, data[4:length]
        data = data[length + 3 & ~3 :]
