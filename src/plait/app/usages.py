"""What the Envoys of a node cost: CPU time and private memory, read by the node's agent from the processes themselves.

A process is the one that answers at an admin socket, so nobody's word about a pid is needed.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from plait.app.companions import Companions

PATH = "/usage"
_TICK = os.sysconf("SC_CLK_TCK")


class Usage(Struct, frozen=True):
    """Of one Envoy since it began. `role` of a node's own is `node`."""

    role: str
    name: str
    cpu: float
    """Seconds."""
    megabytes: float
    """That no other process shares."""


async def measured(node: str, admin: Path, companions: Companions) -> dict[str, Any]:
    """The page of this node's agent: everyone that answers."""
    own = [("node", node, admin)]
    own += [(proxy.role, f"{proxy.namespace}/{proxy.name}", at / "admin.sock") for proxy, at, _ in companions.proxies]
    return {"proxies": msgspec.to_builtins(await asyncio.to_thread(lambda: list(_of(own))))}


def read(pages: Iterable[bytes]) -> Mapping[tuple[str, str], Usage]:
    """What pages of agents say, by role and name."""
    found = (usage for page in pages for usage in msgspec.json.decode(page, type=dict[str, list[Usage]])["proxies"])
    return {(each.role, each.name): each for each in found}


def process(where: Path) -> int:
    """Of whoever listens at this socket. OSError: nobody does."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(where))
        pid, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)


def cpu(pid: int) -> float:
    """Seconds that the process has used. OSError: it has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def private(pid: int) -> float:
    """Megabytes that are the process's alone. OSError: it has ended, or is none of ours."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def _of(proxies: Iterable[tuple[str, str, Path]]) -> Iterator[Usage]:
    for role, name, where in proxies:
        try:
            pid = process(where)
            yield Usage(role, name, cpu(pid), private(pid))
        except OSError:
            continue  # it is starting, or ending
