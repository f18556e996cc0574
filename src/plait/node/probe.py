"""Is the pod really captured? One real connection from inside its namespace, and the kernel's word on where it landed.

The probe connects to an address that nobody routes. Only our redirect can complete that handshake, and the namespace's
socket table must then show the other end at the proxy's outbound port. The proxy drops connections to that address
and counts them as `tcp.probe`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from plait.base import dns_wire, netns
from plait.base.wellknown import (
    CAPTURE_PROBE_IP,
    CAPTURE_PROBE_IP6,
    CAPTURE_PROBE_NAME,
    DNS_CAPTURE_PORT,
    OUTBOUND_PORT,
)
from plait.node.rules import Family

PORT: Final = 15021
_MAPPED: Final = "0000000000000000FFFF0000"  # ::ffff:0:0/96 as the kernel prints it
_ABORT: Final = struct.pack("ii", 1, 0)
_NOBODY: Final[dict[Family, str]] = {4: CAPTURE_PROBE_IP, 6: CAPTURE_PROBE_IP6}
_LOOPBACK: Final[dict[Family, str]] = {4: "127.0.0.1", 6: "::1"}
_FAMILY: Final[dict[Family, socket.AddressFamily]] = {4: socket.AF_INET, 6: socket.AF_INET6}


class NotCaptured(Exception):
    """The connection did not end at the proxy; the message says where it ended."""


async def outbound(path: Path, family: Family = 4, timeout: float = 1.0) -> None:
    """Returns when a connection out of this namespace ends at the proxy; NotCaptured otherwise."""
    await asyncio.to_thread(netns.call, path, _outbound, family, timeout)


async def names(path: Path, family: Family = 4, timeout: float = 1.0) -> None:
    """Returns when the mesh's resolver answers what is asked inside this namespace; NotCaptured otherwise."""
    await asyncio.to_thread(netns.call, path, _names, family, timeout)


async def through(path: Path, proxy: Path, family: Family = 4, timeout: float = 1.0) -> None:
    """The same where the proxy listens in a namespace of its own."""
    await asyncio.to_thread(netns.call, path, _outbound, family, timeout, proxy)


def _outbound(family: Family, timeout: float, proxy: Path | None = None) -> None:
    with socket.socket(_FAMILY[family], socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        # Close with RST: the proxy must not keep a half-open probe.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        try:
            client.connect((_NOBODY[family], PORT))
        except OSError as error:
            raise NotCaptured(f"an IPv{family} connection from the pod did not reach the proxy ({error})") from error
        address, port = client.getsockname()[:2]
        # At a transparent socket the end has the address that was dialled, after a redirect it has the loopback's.
        here = (_LOOPBACK[family], OUTBOUND_PORT) if proxy is None else (_NOBODY[family], PORT)
        there = netns.call(proxy, _has_socket, here, (address, port)) if proxy else _has_socket(here, (address, port))
        if not there:
            raise NotCaptured(
                f"an IPv{family} connection from the pod was answered, but not by the proxy at port {OUTBOUND_PORT}"
            )


def _names(family: Family, timeout: float) -> None:
    """A name that nobody else knows, asked where nobody is."""
    question = dns_wire.question(CAPTURE_PROBE_NAME, dns_wire.A)
    with socket.socket(_FAMILY[family], socket.SOCK_DGRAM) as client:
        client.settimeout(timeout)
        try:
            client.connect((_NOBODY[family], 53))
            client.send(question)
            answer = client.recv(512)
        except OSError as error:
            raise NotCaptured(f"a DNS question from the pod did not reach the mesh's resolver ({error})") from error
    if not answer.endswith(socket.inet_aton(CAPTURE_PROBE_IP)):
        raise NotCaptured(f"a DNS question from the pod was answered, but not by the resolver at {DNS_CAPTURE_PORT}")


def _has_socket(proxy: tuple[str, int], client: tuple[str, int]) -> bool:
    """Has this namespace a socket of these two ends?"""
    # A proxy that listens on [::] (a stock ztunnel) has its sockets among IPv6's, with mapped addresses.
    prefix = "" if ":" in proxy[0] else _MAPPED
    for name, before in (("tcp", ""), ("tcp6", prefix)):
        file = Path(f"/proc/thread-self/net/{name}")
        for line in file.read_text().splitlines()[1:] if file.exists() else ():
            _, local, remote, *_ = line.split()
            if local == before + _hex(*proxy) and remote == before + _hex(*client):
                return True
    return False


def _hex(address: str, port: int) -> str:
    """An end as the kernel prints it: words of four octets, each the other way round."""
    packed = ip_address(address).packed
    words = (packed[at : at + 4][::-1].hex().upper() for at in range(0, len(packed), 4))
    return f"{''.join(words)}:{port:04X}"
