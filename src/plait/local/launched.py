"""What a forked child of the launcher does until it is the command: namespaces, root, user, directory, exec.

Standard library only, like the launcher. Nothing here returns to the launcher: a failure is written to a pipe.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import stat
import termios
from collections.abc import Callable
from typing import Any, NoReturn

from plait.local import rootfs, syscalls

Spec = dict[str, Any]
START_FAILED = 128  # exit code of a process that never became the command, as in container engines


def become(spec: Spec, streams: tuple[int, int, int], error: int, settle: Callable[[], None]) -> NoReturn:
    """The child becomes the command of `spec` with these streams, in the namespaces that `settle` enters; or it reports
    on `error` why not, and exits."""
    try:
        signal.set_wakeup_fd(-1)
        for each in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
        os.setsid()
        saved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in streams]
        error = fcntl.fcntl(error, fcntl.F_DUPFD_CLOEXEC, 10)
        for number, fd in enumerate(saved):
            os.dup2(fd, number, inheritable=True)
        if spec.get("tty"):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        for path in spec.get("cgroups", ()):
            try:
                with open(f"{path}/cgroup.procs", "w") as file:
                    file.write("0")
            except OSError:  # limits are best effort
                pass
        os.umask(0o022)  # before its root is made: every user of the container must be able to enter that
        settle()
        _change_user(spec)
        environment = {str(k): str(v) for k, v in spec["env"].items()}
        _change_directory(str(spec.get("cwd") or "/"))
        argv = [str(word) for word in spec["argv"]]
        try:
            os.execvpe(argv[0], argv, environment)
        except OSError as problem:
            raise OSError(f'exec: "{argv[0]}": {problem.strerror} (PATH={environment.get("PATH", "")})') from problem
    except BaseException as problem:
        os.write(error, (str(problem) or repr(problem)).encode()[:4000])
    os._exit(START_FAILED)


def contain(spec: Spec) -> None:
    """New mount and UTS namespaces, the pod's network, an own root."""
    fd = os.open(spec["netns"], os.O_RDONLY | os.O_CLOEXEC)
    syscalls.setns(fd, syscalls.CLONE_NEWNET)
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS)
    socket.sethostname(str(spec["hostname"]))
    rootfs.assume(str(spec["scratch"]), spec["mounts"], spec["hidden"], readonly=bool(spec.get("readonly")))


def join(pid: int) -> None:
    """The namespaces of a running container; entering its mount namespace also takes its root."""
    kinds = {"net": syscalls.CLONE_NEWNET, "uts": syscalls.CLONE_NEWUTS, "mnt": syscalls.CLONE_NEWNS}
    fds = {name: os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in kinds}
    for name, fd in fds.items():
        syscalls.setns(fd, kinds[name])


def _change_user(spec: Spec) -> None:
    if (keep := spec.get("capabilities")) is not None:
        syscalls.limit_capabilities(keep)
    if spec.get("no_new_privileges"):
        syscalls.no_new_privileges()
    try:
        if spec.get("groups") or spec.get("gid"):
            os.setgroups(spec.get("groups") or [])
        if (gid := spec.get("gid")) is not None:
            os.setresgid(gid, gid, gid)
        if (uid := spec.get("uid")) is not None:
            _give_streams(uid)
            os.setresuid(uid, uid, uid)
    except OSError:
        if not spec.get("any_user"):  # in a user namespace with one mapped user there is nobody else to be
            raise


def _give_streams(uid: int) -> None:
    """A command that opens /dev/stdout by its path (an access log) opens the pipe anew, so it must be its own."""
    for fd in range(3):
        mode = os.fstat(fd).st_mode
        if stat.S_ISFIFO(mode) or os.isatty(fd):  # not /dev/null, which is everybody's
            os.fchown(fd, uid, -1)


def _change_directory(path: str) -> None:
    try:
        os.chdir(path)
    except FileNotFoundError:
        os.makedirs(path, exist_ok=True)
        os.chdir(path)
