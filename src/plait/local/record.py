"""mesh.json: what one local mesh is made of, written before anything is started and removed after everything is gone.

`plait down`, `plait status` and a later `plait up` find a mesh by this file alone, also after a kill -9.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from plait.base.wellknown import EAGER
from plait.local.addresses import FAMILIES, AddressPlan
from plait.local.layout import Layout, home

FORMS = ("in-pod", "node")
"""How packets are brought to the node proxy; the first is the default."""
State = Literal["starting", "ready", "stopping"]


class ProcessId(msgspec.Struct, frozen=True):
    """A process that cannot be mistaken for a later one with the same number: pid and start time (clock ticks)."""

    pid: int
    start: int

    def alive(self) -> bool:
        return start_time(self.pid) == self.start

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        return cls(pid, start_time(pid) or 0)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One mesh as started. Without root, `user_namespace` is the inode of its user namespace and
    `holder` the process that keeps it: an inode alone may belong to somebody else by now."""

    name: str
    index: int
    nodes: tuple[str, ...]
    port: int
    supervisor: ProcessId
    state: State = "starting"
    rootless: bool = False
    user_namespace: int = 0
    holder: ProcessId | None = None
    capture: str = "in-pod"
    trust_domain: str = "cluster.local"
    certificate_lifetime: float = 24 * 3600.0
    """Seconds a workload's certificate lives; it is renewed at half of them."""
    dns_capture: bool = True
    """Captured pods ask the mesh's resolver, unless their annotation says otherwise."""
    eager: int = EAGER
    """Services up to which node proxies have all their clusters early; in a larger mesh they come on demand."""
    ztunnel: str = ""
    """Path of a foreign node proxy that nodes run instead of Envoy; "" for none."""

    ip_families: tuple[str, ...] = FAMILIES[0]
    """Of pods, nodes and services; the first is what a Service gets that does not ask."""

    @property
    def plan(self) -> AddressPlan:
        return AddressPlan(self.index, self.ip_families)


def start_time(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot (field 22 of /proc/<pid>/stat); None when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def save(layout: Layout, record: Record) -> None:
    """Write atomically: a reader sees the old or the new record, never half of one."""
    layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = layout.record.with_suffix(".tmp")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(record)))
    os.replace(draft, layout.record)


def load(layout: Layout) -> Record | None:
    """The record, or None when this mesh was never started or is gone. A damaged file is an error naming it."""
    try:
        return msgspec.json.decode(layout.record.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{layout.record}: not a mesh record ({error}); remove the file by hand") from error


def all_records() -> list[Record]:
    """Every mesh of this user on this machine, by name; damaged records are passed over."""
    found = []
    for path in sorted(home().glob("*/mesh.json")):
        try:
            if record := load(Layout(path.parent.name, path.parent)):
                found.append(record)
        except ValueError:
            continue
    return found
