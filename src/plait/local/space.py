"""Where a mesh's namespaces live: the host itself (as root), or a user namespace of the mesh's own (without root).

Without root a small holder process keeps a user, mount and network namespace open; every other process of the mesh
enters them first. Inside, /run is a private tmpfs (so /run/netns is the mesh's own) and the user is uid 0.
"""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_REC, MS_PRIVATE = 16384, 1 << 18
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class SpaceError(OSError):
    """The kernel refuses what the mesh needs; the message says what to change."""


def rootless() -> bool:
    return os.geteuid() != 0


def hold() -> int:
    """Fork the holder of a new user+mount+network namespace; returns its pid once the namespaces are ready."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _holder(writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    if answer != b"ok":
        os.waitpid(pid, 0)
        raise SpaceError(
            f"cannot make a user namespace ({answer.decode() or 'the holder died'}): run as root, or allow it with "
            "sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000 "
            "kernel.apparmor_restrict_unprivileged_userns=0"
        )
    return pid


def _holder(writer: int) -> None:
    try:
        uid, gid = os.geteuid(), os.getegid()
        _call(_libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        _call(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "make mounts private")
        _call(_libc.mount(b"tmpfs", b"/run", b"tmpfs", 0, b"mode=755"), "mount a tmpfs on /run")
        _call(_libc.prctl(PR_SET_PDEATHSIG, 0), "prctl")
        os.write(writer, b"ok")
    except OSError as error:
        os.write(writer, str(error).encode())
        os._exit(1)
    os.close(writer)
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        signal.pause()


def enter(holder: int) -> None:
    """Move this (single-threaded) process into the holder's namespaces; nothing to do for holder 0."""
    if not holder:
        return
    for name, flag in (("user", CLONE_NEWUSER), ("mnt", CLONE_NEWNS), ("net", CLONE_NEWNET)):
        handle = os.open(f"/proc/{holder}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call(_libc.setns(handle, flag), f"enter the {name} namespace of process {holder}")
        finally:
            os.close(handle)


def user_namespace(pid: int) -> int:
    """Inode of a process's user namespace."""
    return Path(f"/proc/{pid}/ns/user").stat().st_ino


def _call(result: int, what: str) -> None:
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")
