"""Is the pod really captured? One real connection from inside its namespace, and the kernel's word on where it landed.

The probe connects to an address that nobody routes. Only our redirect can complete that handshake, and the namespace's
socket table must then show the other end at the proxy's outbound port. The proxy drops connections to that address
and counts them as `tcp.probe`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path
from typing import Final

from plait.base import dns_wire, netns
from plait.base.wellknown import CAPTURE_PROBE_IP, CAPTURE_PROBE_NAME, DNS_CAPTURE_PORT, OUTBOUND_PORT

PORT: Final = 15021
_MAPPED: Final = "0000000000000000FFFF0000"  # ::ffff:0:0/96 as the kernel prints it
_ABORT: Final = struct.pack("ii", 1, 0)


class NotCaptured(Exception):
    """The connection did not end at the proxy; the message says where it ended."""


async def outbound(path: Path, timeout: float = 1.0) -> None:
    """Returns when a connection out of this namespace ends at the proxy; NotCaptured otherwise."""
    await asyncio.to_thread(netns.call, path, _outbound, timeout)


async def names(path: Path, timeout: float = 1.0) -> None:
    """Returns when the mesh's resolver answers what is asked inside this namespace; NotCaptured otherwise."""
    await asyncio.to_thread(netns.call, path, _names, timeout)


async def through(path: Path, proxy: Path, timeout: float = 1.0) -> None:
    """The same where the proxy listens in a namespace of its own."""
    await asyncio.to_thread(netns.call, path, _outbound, timeout, proxy)


def _outbound(timeout: float, proxy: Path | None = None) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        # Close with RST: the proxy must not keep a half-open probe.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        try:
            client.connect((CAPTURE_PROBE_IP, PORT))
        except OSError as error:
            raise NotCaptured(f"a connection from the pod did not reach the proxy ({error})") from error
        address, port = client.getsockname()
        there = _ends_at_proxy(address, port) if proxy is None else netns.call(proxy, _ends_here, address, port)
        if not there:
            raise NotCaptured(f"a connection from the pod was answered, but not by the proxy at port {OUTBOUND_PORT}")


def _names(timeout: float) -> None:
    """A name that nobody else knows, asked where nobody is."""
    question = dns_wire.question(CAPTURE_PROBE_NAME, dns_wire.A)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout)
        try:
            client.connect((CAPTURE_PROBE_IP, 53))
            client.send(question)
            answer = client.recv(512)
        except OSError as error:
            raise NotCaptured(f"a DNS question from the pod did not reach the mesh's resolver ({error})") from error
    if not answer.endswith(socket.inet_aton(CAPTURE_PROBE_IP)):
        raise NotCaptured(f"a DNS question from the pod was answered, but not by the resolver at {DNS_CAPTURE_PORT}")


def _ends_here(address: str, port: int) -> bool:
    """The same at a transparent socket: its end has the address that was dialled."""
    return _has_socket(_hex(CAPTURE_PROBE_IP, PORT), _hex(address, port))


def _ends_at_proxy(address: str, port: int) -> bool:
    """Has this namespace a socket at 127.0.0.1:15001 whose peer is our client?"""
    return _has_socket(_hex("127.0.0.1", OUTBOUND_PORT), _hex(address, port))


def _has_socket(proxy: str, client: str) -> bool:
    # A proxy that listens on [::] (a stock ztunnel) has its sockets among IPv6's, with mapped addresses.
    for name, prefix in (("tcp", ""), ("tcp6", _MAPPED)):
        file = Path(f"/proc/thread-self/net/{name}")
        for line in file.read_text().splitlines()[1:] if file.exists() else ():
            _, local, remote, *_ = line.split()
            if local == prefix + proxy and remote == prefix + client:
                return True
    return False


def _hex(address: str, port: int) -> str:
    return f"{int.from_bytes(socket.inet_aton(address), 'little'):08X}:{port:04X}"
