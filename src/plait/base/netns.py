"""Network namespaces by path, visible to `ip netns`: create, remove, and run code inside one.

A namespace is a bind mount of /proc/<thread>/ns/net on a file below /run/netns (the convention of `ip netns`).
setns(2) moves one thread only, so `inside` belongs in a worker thread, never in a thread that runs an event loop.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

CLONE_NEWNET = 0x40000000
MS_BIND, MS_REC, MS_SHARED, MNT_DETACH = 4096, 16384, 1 << 20, 2

T = TypeVar("T")
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")


def setns(fd: int) -> None:
    """Move the calling thread into the network namespace behind `fd`. PermissionError without CAP_SYS_ADMIN."""
    _check(_libc.setns(fd, CLONE_NEWNET), "setns")


def enter(path: Path) -> None:
    """Move the calling thread into a namespace for good: for a process of its own, before it starts threads."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(fd)
    finally:
        os.close(fd)


@contextmanager
def inside(path: Path) -> Iterator[None]:
    """Be inside the namespace for the length of a `with` block (this thread only)."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(path)
        try:
            yield
        finally:
            setns(home)
    finally:
        os.close(home)


def call(path: Path, function: Callable[..., T], *args: Any) -> T:
    """Run a function inside the namespace, in a thread of its own, and give its result or exception."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            enter(path)
            outcome.append(function(*args))
        except BaseException as error:  # handed to the caller below
            failure.append(error)

    thread = threading.Thread(target=body, name=f"in-{path.name}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def create(path: Path) -> None:
    """Make a fresh namespace at `path`, with loopback still down. FileExistsError if the path is taken."""
    _prepare_directory(path.parent)
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))

    def body() -> None:
        _check(_libc.unshare(CLONE_NEWNET), "unshare(CLONE_NEWNET)")
        _check(_libc.mount(b"/proc/thread-self/ns/net", bytes(path), None, MS_BIND, None), f"bind {path}")

    try:
        _in_thread(body)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def remove(path: Path) -> None:
    """Take the namespace away; nothing happens where there is none. Processes inside keep theirs until they end."""
    if not path.exists():
        return
    while _libc.umount2(bytes(path), MNT_DETACH) == 0:
        pass
    path.unlink(missing_ok=True)


def exists(path: Path) -> bool:
    """True where `path` really is a mounted network namespace, not a file left by a dead run."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev
    except FileNotFoundError:
        return False


def _in_thread(body: Callable[[], None]) -> None:
    failure: list[OSError] = []

    def run() -> None:
        try:
            body()
        except OSError as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="netns")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def _prepare_directory(directory: Path) -> None:
    """`ip netns` wants /run/netns to be a shared mount point of its own, so that namespaces show in every mount ns."""
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    target = bytes(directory)
    if _libc.mount(b"", target, b"none", MS_SHARED | MS_REC, None) == 0:
        return
    _check(_libc.mount(target, target, b"none", MS_BIND | MS_REC, None), f"bind {directory}")
    _check(_libc.mount(b"", target, b"none", MS_SHARED | MS_REC, None), f"share {directory}")
