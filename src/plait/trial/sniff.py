"""What really crosses a wire: a raw capture of one interface inside a network namespace (AF_PACKET).

Used to *prove* claims ("no plaintext leaves the node"), so it sees every frame, also those no rule expects.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field

from plait.trial import child

ETH_P_ALL = 3
_IPV4 = 0x0800
_TCP = 6


@dataclass(slots=True)
class Sight:
    """What was seen. `markers` counts frames holding each marker; `ports` TCP segments with payload by server port."""

    frames: int = 0
    octets: int = 0
    markers: Counter[bytes] = field(default_factory=Counter)
    ports: Counter[int] = field(default_factory=Counter)
    tls_records: int = 0


async def watch(interface: str, markers: tuple[bytes, ...], stop: asyncio.Event) -> Sight:
    """Capture every frame on `interface` of the present namespace until `stop`; needs CAP_NET_RAW."""
    sight = Sight()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        raw.bind((interface, ETH_P_ALL))
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(raw, _drain, raw, markers, sight)
        child.started()
        await stop.wait()
        loop.remove_reader(raw)
        _drain(raw, markers, sight)
    return sight


def _drain(raw: socket.socket, markers: tuple[bytes, ...], sight: Sight) -> None:
    while True:
        try:
            frame = raw.recv(65536)
        except BlockingIOError:
            return
        note(frame, markers, sight)


def note(frame: bytes, markers: tuple[bytes, ...], sight: Sight) -> None:
    """Count one Ethernet frame."""
    sight.frames += 1
    sight.octets += len(frame)
    for marker in markers:
        if marker in frame:
            sight.markers[marker] += 1
    if len(frame) < 34 or struct.unpack_from("!H", frame, 12)[0] != _IPV4 or frame[23] != _TCP:
        return
    tcp = 14 + (frame[14] & 0xF) * 4
    if len(frame) < tcp + 20:
        return
    source, destination = struct.unpack_from("!HH", frame, tcp)
    length = struct.unpack_from("!H", frame, 16)[0] - (frame[14] & 0xF) * 4 - (frame[tcp + 12] >> 4) * 4
    payload = frame[tcp + (frame[tcp + 12] >> 4) * 4 :][:length] if length > 0 else b""
    if payload:
        sight.ports[min(source, destination)] += 1
        # TLS records start with a content type 20-23 and version 3.x; counted where a segment begins with one.
        if payload[0] in (20, 21, 22, 23) and payload[1:2] == b"\x03":
            sight.tls_records += 1
