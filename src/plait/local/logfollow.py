"""Reading a container's log as `kubectl logs` wants it: tail, since, timestamps, a byte limit, following rotation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from plait.local import crilog

_POLL = 0.05  # regular files cannot be waited for without inotify; a reader that follows looks this often


@dataclass(frozen=True, slots=True)
class Options:
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int | None = None
    since: str = ""  # RFC 3339 nano, compared as text: all our stamps are UTC of one length
    limit: int | None = None

    @classmethod
    def parse(cls, query: Mapping[str, str], now: float) -> Options:
        """From PodLogOptions parameters; ValueError names the wrong one."""

        def number(name: str) -> int | None:
            text = query.get(name, "")
            if not text:
                return None
            if not text.isdecimal():
                raise ValueError(f"{name}: {text!r} is not a whole number of 0 or more")
            return int(text)

        def yes(name: str) -> bool:
            return query.get(name, "").lower() in ("1", "true")

        since = ""
        if (seconds := number("sinceSeconds")) is not None:
            since = crilog.stamp(int((now - seconds) * 1e9))
        elif text := query.get("sinceTime", ""):
            try:
                moment = datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
            except ValueError as error:
                raise ValueError(f"sinceTime: {text!r} is not an RFC 3339 time") from error
            since = crilog.stamp(int(moment * 1_000_000) * 1000)
        return cls(yes("follow"), yes("previous"), yes("timestamps"), number("tailLines"), since, number("limitBytes"))


async def read(file: Path, options: Options, over: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The text as sent to a user."""
    left, fresh = options.limit, True
    async for entry in entries(file, options, over):
        text = entry.text
        if options.timestamps and fresh:
            text = entry.at.encode() + b" " + text
        fresh = text.endswith(b"\n")
        if left is not None:
            text = text[:left]
            left -= len(text)
        if text:
            yield text
        if left == 0:
            return


async def entries(file: Path, options: Options, over: Callable[[], bool]) -> AsyncIterator[crilog.Entry]:
    """Entries that pass the options; while following, until `over()` and all is read."""
    present = [entry for entry in _stored(file) if entry.at >= options.since]
    position = file.stat().st_size if file.exists() else 0
    if options.tail is not None:
        present = _last(present, options.tail)
    # What was written between reading and stat() is read again below unless the size is taken from the reading.
    position = _read_size(file, position)
    for entry in present:
        yield entry
    if not options.follow:
        return
    handle: BinaryIO | None = None
    rest = b""
    try:
        while True:
            ending = over()
            if handle is None and file.exists():
                handle = file.open("rb")
                handle.seek(position)
            data = handle.read(256 * 1024) if handle is not None else b""
            for line in (rest + data).splitlines(keepends=True):
                parsed = crilog.parse(line)
                if parsed is not None and parsed.at >= options.since:
                    yield parsed
            rest = b"" if (rest + data).endswith(b"\n") else (rest + data).rpartition(b"\n")[2]
            if data:
                continue
            if handle is not None and _replaced(handle, file):
                handle.close()
                handle, position = None, 0
                continue
            if ending:
                return
            await asyncio.sleep(_POLL)
    finally:
        if handle is not None:
            handle.close()


def _stored(file: Path) -> Iterator[crilog.Entry]:
    older = sorted(file.parent.glob(f"{file.name}.*"), key=lambda p: -int(p.suffix[1:]))
    for path in (*older, file):
        if path.exists():
            with path.open("rb") as handle:
                for line in handle:
                    if (entry := crilog.parse(line)) is not None:
                        yield entry


def _last(present: list[crilog.Entry], lines: int) -> list[crilog.Entry]:
    """The entries that make the last `lines` whole lines (a line may be several entries)."""
    start, seen = len(present), 0
    while start > 0:
        ends = present[start - 1].text.endswith(b"\n")
        if ends or start == len(present):
            if seen == lines:
                break
            seen += 1
        start -= 1
    return present[start:]


def _read_size(file: Path, fallback: int) -> int:
    """Where the last complete line ends, not further than `fallback`."""
    if not file.exists():
        return 0
    with file.open("rb") as handle:
        data = handle.read(fallback)
    return data.rfind(b"\n") + 1


def _replaced(handle: BinaryIO, file: Path) -> bool:
    import os

    try:
        return os.fstat(handle.fileno()).st_ino != file.stat().st_ino
    except FileNotFoundError:
        return False
