"""Which processes a running mesh has: written by its supervisor whenever that changes, measured when it is asked for.

Envoys are not in it: their node's agent keeps them and tells in its own status.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from plait.base import aio
from plait.local.layout import Layout
from plait.local.record import ProcessId, start_time


class Process(msgspec.Struct, frozen=True):
    """A part of the mesh; pid 0 while it waits to be started again. `last_end` says how the one before ended."""

    name: str
    id: ProcessId
    restarts: int = 0
    last_end: str = ""


def _file(layout: Layout) -> Path:
    return layout.root / "processes.json"


def save(layout: Layout, parts: list[Process]) -> None:
    draft = _file(layout).with_suffix(".tmp")
    try:
        draft.write_bytes(msgspec.json.encode(parts))
        os.replace(draft, _file(layout))
    except FileNotFoundError:  # the mesh's directory was removed under us: nobody is left to read it
        return


def load(layout: Layout) -> list[Process]:
    """Empty when nothing was written or it cannot be read."""
    try:
        return msgspec.json.decode(_file(layout).read_bytes(), type=list[Process])
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return []


def measured(name: str, pid: int) -> dict[str, Any]:
    """A live process's row: uptime in seconds and memory in MB (its share where the kernel tells, else resident)."""
    return {"name": name, "pid": pid, "uptime": _uptime(pid), "memory": _memory(pid)}


def _uptime(pid: int) -> int:
    start = start_time(pid)
    if start is None:
        return 0
    boot = aio.now() - float(Path("/proc/uptime").read_text().split()[0])
    return max(0, int(aio.now() - boot - start / os.sysconf("SC_CLK_TCK")))


def _memory(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return round(int(line.split()[1]) / 1024, 1)
    except OSError:
        pass
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
