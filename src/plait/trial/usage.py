"""What the proxies of a mesh cost: CPU time and private memory of every Envoy, read from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from plait.local import processes

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu` seconds since the processes began, and bytes: `private` (USS), `pss` (with its part of what is shared),
    `shared` (file pages, counted once)."""

    cpu: float
    private: int
    pss: int
    shared: int
    proxies: int


def proxies(namespaces: list[Path]) -> list[int]:
    """Pids of the Envoys that run in these (node) namespaces."""
    found = []
    for pid in processes.members(namespaces):
        try:
            name = Path(f"/proc/{pid}/exe").readlink().name
        except OSError:
            continue
        if name.startswith("envoy"):
            found.append(pid)
    return found


def cpu(pids: Iterable[int]) -> float:
    """CPU seconds of these processes' threads, as the scheduler counts them (nanoseconds, not ticks): short blocks of
    many processes would drown in the rounding of /proc/PID/stat. What has ended counts nothing."""
    total = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(thread.read_text().split()[0])
            except OSError:
                continue
    return total / 1e9


def measure(pids: list[int]) -> Usage:
    """Sum over the given processes; one that has ended counts nothing."""
    cpu, private, pss, shared = 0.0, 0, 0, 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        cpu += (int(fields[11]) + int(fields[12])) / _TICK
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in rollup.splitlines()[1:]}
        private += sizes.get("Private_Clean", 0) + sizes.get("Private_Dirty", 0)
        pss += sizes.get("Pss", 0)
        shared = max(shared, sizes.get("Shared_Clean", 0))
    return Usage(cpu, private, pss, shared, len(pids))
