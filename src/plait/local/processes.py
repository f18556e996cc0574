"""Finding and ending every process of a mesh, without trusting any process to have behaved.

A process belongs to the mesh when its network namespace is one of the mesh's, or, without root, when its user
namespace is the mesh's own. That also finds what a killed kubelet left behind.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def members(namespaces: list[Path], user_namespace: int = 0) -> list[int]:
    """Pids whose network namespace is one of `namespaces`, or whose user namespace has the given inode."""
    inodes = set()
    for path in namespaces:
        try:
            inodes.add(path.stat().st_ino)
        except FileNotFoundError:
            continue
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        if _inode(entry / "ns/net") in inodes or (user_namespace and _inode(entry / "ns/user") == user_namespace):
            found.append(int(entry.name))
    return found


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:  # gone, or another user's process
        return -1


def terminate(pid: int, timeout: float) -> bool:
    """SIGTERM, and SIGKILL after `timeout` seconds. True when the process is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if _wait(handle, timeout):
            return True
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        return _wait(handle, 5.0)
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)


def _wait(pidfd: int, timeout: float) -> bool:
    import select

    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(timeout * 1000))


def kill_all(namespaces: list[Path], user_namespace: int = 0, *, timeout: float = 5.0) -> list[int]:
    """SIGKILL every member until none is left; returns those that could not be ended in `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while pids := members(namespaces, user_namespace):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            return pids
        time.sleep(0.01)
    return []
