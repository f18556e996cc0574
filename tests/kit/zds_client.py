"""A ZDS client of a node proxy, written from the field numbers alone: raw varints, no descriptors of the project."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

HELLO_V1 = b"\x08\x01"
ACK = b"\x0a\x00"


@dataclass(frozen=True)
class Said:
    """One request: the number of the oneof member, the uid, the texts of workload_info, and the descriptor if any."""

    member: int
    uid: str
    info: tuple[str, str, str]
    fd: int | None


def fields(data: bytes) -> list[tuple[int, bytes]]:
    """(number, value) of each length-delimited field."""
    found, at = [], 0
    while at < len(data):
        key, at = _varint(data, at)
        assert key & 7 == 2, f"field {key >> 3} is not length-delimited"
        size, at = _varint(data, at)
        found.append((key >> 3, data[at : at + size]))
        at += size
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, at, shift = value | (byte & 127) << shift, at + 1, shift + 7
        if not byte & 128:
            return value, at


def read(data: bytes, fd: int | None = None) -> Said:
    ((member, body),) = fields(data)
    inner = dict(fields(body))
    uid = inner.get(2 if member == 2 else 1, b"").decode()
    info = dict(fields(inner[2])) if member == 1 else {}
    return Said(member, uid, (info.get(1, b"").decode(), info.get(2, b"").decode(), info.get(3, b"").decode()), fd)


def error(text: str) -> bytes:
    """A WorkloadResponse whose ack carries an error."""
    inner = b"\x0a" + bytes([len(text)]) + text.encode()
    return b"\x0a" + bytes([len(inner)]) + inner


class Client:
    """A blocking client: connect, say hello, `hear` and `answer`."""

    def __init__(self, path: Path, timeout: float = 5.0) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.socket.send(HELLO_V1)

    def hear(self) -> Said:
        data, fds, _, _ = socket.recv_fds(self.socket, 65536, 1)
        if not data:
            raise ConnectionError("the agent closed the connection")
        return read(data, fds[0] if fds else None)

    def answer(self, data: bytes = ACK) -> None:
        self.socket.send(data)

    def close(self) -> None:
        self.socket.close()
