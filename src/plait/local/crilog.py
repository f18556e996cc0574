"""Container output on disk in the CRI log format, `<RFC 3339 nano> <stdout|stderr> <F|P> <text>`, with rotation.

Used by the launcher (writes) and the kubelet's server (reads). Standard library only.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

LINE_LIMIT = 16 * 1024  # longer lines are written in parts, as container engines do
MAX_BYTES, KEEP = 10 * 1024 * 1024, 3


def stamp(nanoseconds: int) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(nanoseconds // 1_000_000_000))
    return f"{whole}.{nanoseconds % 1_000_000_000:09d}Z"


@dataclass
class Writer:
    """One container's log file. `feed` takes raw bytes of one stream; unfinished lines wait for their end."""

    path: str
    limit: int = MAX_BYTES
    _fd: int = -1
    _size: int = 0
    _rest: dict[str, bytes] = field(default_factory=dict)

    def feed(self, stream: str, data: bytes, nanoseconds: int) -> None:
        head = f"{stamp(nanoseconds)} {stream} ".encode()
        *lines, rest = (self._rest.pop(stream, b"") + data).split(b"\n")
        out = bytearray()
        for line in lines:
            while len(line) > LINE_LIMIT:
                out += head + b"P " + line[:LINE_LIMIT] + b"\n"
                line = line[LINE_LIMIT:]
            out += head + b"F " + line + b"\n"
        while len(rest) > LINE_LIMIT:
            out += head + b"P " + rest[:LINE_LIMIT] + b"\n"
            rest = rest[LINE_LIMIT:]
        if rest:
            self._rest[stream] = rest
        self._write(bytes(out))

    def finish(self, stream: str, nanoseconds: int) -> None:
        """The stream ended: what waits for its newline is written as a part without one."""
        if rest := self._rest.pop(stream, b""):
            self._write(f"{stamp(nanoseconds)} {stream} P ".encode() + rest + b"\n")

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, data: bytes) -> None:
        if not data:
            return
        if self._fd >= 0 and self._size + len(data) > self.limit:
            self.close()
            for number in range(KEEP - 1, 0, -1):
                older = self.path if number == 1 else f"{self.path}.{number - 1}"
                if os.path.exists(older):
                    os.replace(older, f"{self.path}.{number}")
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o640)
            self._size = os.fstat(self._fd).st_size
        self._size += os.write(self._fd, data)


@dataclass(frozen=True, slots=True)
class Entry:
    at: str
    stream: str
    text: bytes  # with its newline, or without one when the line goes on


def parse(line: bytes) -> Entry | None:
    """One line of the file; None when it is not complete or not in the format."""
    parts = line.split(b" ", 3)
    if len(parts) != 4 or not line.endswith(b"\n"):
        return None
    text = parts[3] if parts[2] == b"F" else parts[3][:-1]
    return Entry(parts[0].decode("ascii", "replace"), parts[1].decode("ascii", "replace"), text)
