"""Taking a local mesh away: processes, namespaces, links, mounts, files. The same code after a stop and after a crash.

Idempotent: it works from mesh.json and from what the kernel shows, never from what a process remembers.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

from plait.app import access
from plait.app import processes as noted
from plait.local import fabric, processes, space
from plait.local.layout import Layout
from plait.local.record import ProcessId, Record

_SUPERVISOR_TIMEOUT = 12.0


class TeardownError(Exception):
    """Something would not go; the message names it."""


def stop(layout: Layout, record: Record) -> None:
    """End every process of the mesh and remove its namespaces; files stay (a later `up` goes on with its state)."""
    own_user_namespace = _user_namespace(layout, record)  # asked while those who can witness it still live
    if record.supervisor.alive():
        processes.terminate(record.supervisor.pid, _SUPERVISOR_TIMEOUT)
    for part in noted.load(layout):  # the relay is in no namespace of the mesh: only its note finds it after a crash
        if part.id.alive():
            processes.terminate(part.id.pid, 0.0)
    left = processes.kill_all(fabric.remains(record.name), own_user_namespace)
    if left:
        raise TeardownError(f"processes {left} of mesh {record.name!r} do not end; they are stuck in the kernel")
    if not record.rootless:
        fabric.remove(record.name, record.plan)


def _user_namespace(layout: Layout, record: Record) -> int:
    """Inode of the mesh's user namespace when a process that we know is in it, else 0: inodes are given out again."""
    witnesses = [part.id for part in noted.load(layout)] + ([record.holder] if record.holder else [])
    for file in (*layout.root.glob("nodes/*/envoy.pid"), *layout.root.glob("nodes/*/launcher.sock.pid")):
        if words := file.read_text().split():
            witnesses.append(ProcessId(int(words[0]), int(words[1])))
    for witness in witnesses:
        if witness.alive() and record.user_namespace == space.user_namespace(witness.pid):
            return record.user_namespace
    return 0


def remove(layout: Layout, record: Record) -> None:
    """`stop`, then delete every file of the mesh."""
    stop(layout, record)
    with suppress(OSError, ValueError):  # the user's own file may be gone or broken: not ours to mend
        access.withdraw(layout)
    erase(layout)


def erase(layout: Layout) -> None:
    """Delete the mesh's directory, mesh.json last, so that an interrupted removal can be repeated."""
    if layout.root.is_dir():
        for entry in layout.root.iterdir():
            if entry != layout.record:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        shutil.rmtree(layout.root)
    try:
        os.rmdir(layout.root.parent)  # only when this was the last mesh
    except OSError:
        return
