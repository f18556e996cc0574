"""A container's processes are those of its mount namespace: held while it runs, and ended all at once.

Standard library only, like the launcher that asks.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from plait.local import syscalls


class MountNamespace:
    """That of a process, kept open until `release`.

    The kernel gives the inode of a freed namespace to the next one: were it not held, the end of one container would
    kill another (seen) or a stranger.
    """

    def __init__(self, pid: int) -> None:
        self._inode, self._handle = 0, -1
        with suppress(OSError):  # the process has ended already
            self._handle = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            self._inode = os.fstat(self._handle).st_ino

    def kill_all(self) -> None:
        """SIGKILL every process in it, until a look round finds none (children may be born). Never our own."""
        if self._handle < 0 or self._inode == _inode_of(os.getpid()):
            return
        for _ in range(50):
            found = [pid for pid in _others() if _inode_of(pid) == self._inode and syscalls.start_time(pid) is not None]
            if not found:
                return
            for pid in found:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)

    def release(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _others() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def _inode_of(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError:
        return 0
