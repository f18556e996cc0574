"""The parent of every container of one node: forks, builds the root, execs, writes logs, keeps exit codes.

A process of its own (a few megabytes, standard library only), so containers, their output and their exit codes
outlive a kubelet that dies. It takes orders on a SEQPACKET socket (JSON; `exec` passes three descriptors) and
decides nothing: restarts, probes and graces are the kubelet's. One thread, no locks: forking is safe.
"""

from __future__ import annotations

import array
import fcntl
import json
import os
import selectors
import signal
import socket
import stat
import sys
import termios
import time
from dataclasses import dataclass, field
from typing import Any

from plait.local import crilog, rootfs, syscalls

START_FAILED = 128  # exit code of a process that never became the command, as in container engines


@dataclass
class Running:
    """One process tree we started: a container (has a `directory`) or an exec session (has a `client`)."""

    id: str
    pid: int
    directory: str = ""
    mount_namespace: int = 0
    namespace_handle: int = -1
    """Open as long as we may look for its processes: the kernel gives the inode of a freed namespace to the next one,
    and the end of one container would kill another (seen) or a stranger."""
    client: socket.socket | None = None
    request: int = 0
    log: crilog.Writer | None = None
    streams: dict[int, str] = field(default_factory=dict)  # our end of stdout/stderr -> name


class Launcher:
    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.selector = selectors.DefaultSelector()
        self.clients: set[socket.socket] = set()
        self.by_pid: dict[int, Running] = {}
        self.own_namespace = os.stat("/proc/self/ns/mnt").st_ino
        self.done = False

    def run(self) -> None:
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write)
        self.selector.register(self.listener, selectors.EVENT_READ, ("accept", None))
        self.selector.register(wake_read, selectors.EVENT_READ, ("child", None))
        while not self.done:
            for key, _ in self.selector.select():
                if self.selector.get_map().get(key.fd) is not key:
                    continue  # closed (and perhaps given to another) by an earlier event of this round
                what, subject = key.data
                if what == "accept":
                    client, _address = self.listener.accept()
                    self.clients.add(client)
                    self.selector.register(client, selectors.EVENT_READ, ("order", client))
                elif what == "order":
                    self.order(subject)
                elif what == "output":
                    self.output(subject, key.fd)
                elif what == "child":
                    os.read(wake_read, 512)
                    self.reap()

    # --- orders

    def order(self, client: socket.socket) -> None:
        try:
            data, ancillary, flags, _ = client.recvmsg(256 * 1024, socket.CMSG_SPACE(3 * 4))
        except OSError:
            data, ancillary, flags = b"", [], 0
        fds: list[int] = []
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(payload[: len(payload) - len(payload) % numbers.itemsize])
                fds.extend(numbers)
        if not data:
            self.selector.unregister(client)
            self.clients.discard(client)
            client.close()
            return
        request: dict[str, Any] = {}
        try:
            request = json.loads(data)
            if flags & socket.MSG_TRUNC:
                raise ValueError("order too long")
            answer = self.obey(request, client, fds)
        except Exception as error:
            answer = {"error": str(error) or repr(error)}
        finally:
            for fd in fds:
                os.close(fd)
        self.tell(client, {"n": request.get("n", 0), **answer})

    def obey(self, request: dict[str, Any], client: socket.socket, fds: list[int]) -> dict[str, Any]:
        verb = request.get("verb")
        if verb == "run":
            with open(request["spec"], "rb") as file:
                return self.start(json.load(file))
        if verb == "exec":
            return self.enter(request, client, fds)
        if verb == "list":
            return {"running": {r.id: r.pid for r in self.by_pid.values() if r.directory}}
        if verb == "kill":
            for running in [r for r in self.by_pid.values() if r.id == request["id"]]:
                self.kill(running)
            return {}
        if verb == "quit":
            for running in list(self.by_pid.values()):
                self.kill(running)
            self.done = True
            return {}
        raise ValueError(f"unknown order {verb!r}")

    def kill(self, running: Running) -> None:
        _signal(running.pid, signal.SIGKILL)
        self.kill_others(running)

    def kill_others(self, running: Running) -> None:
        """Every process of the container, as the end of a container's process 1 ends all the others."""
        if running.namespace_handle >= 0 and running.mount_namespace != self.own_namespace:
            kill_namespace(running.mount_namespace)

    # --- containers

    def start(self, spec: dict[str, Any]) -> dict[str, Any]:
        directory = str(spec["directory"])
        error_read, error_write = os.pipe2(os.O_CLOEXEC)
        streams: dict[int, str] = {}
        if spec.get("tty"):
            master, slave = os.openpty()
            streams[master] = "stdout"
            ends = (slave, slave, slave)
        else:
            (out, out_write), (err, err_write) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
            streams[out], streams[err] = "stdout", "stderr"
            ends = (_standard_input(spec), out_write, err_write)
        pid = os.fork()
        if pid == 0:
            _become(spec, ends, error_write, lambda: _contain(spec))
        for fd in {*ends, error_write}:
            os.close(fd)
        with open(error_read, "rb") as pipe:  # ends at exec or with the reason why there is none
            reason = pipe.read().decode(errors="replace")
        if reason:
            os.waitpid(pid, 0)
            for fd in streams:
                os.close(fd)
            raise RuntimeError(reason)
        started = time.time_ns()
        state = {"pid": pid, "start": syscalls.start_time(pid), "startedAt": started}
        _write_json(f"{directory}/state.json", state)
        handle, inode = _held_namespace(pid)
        running = Running(str(spec["id"]), pid, directory, inode, handle, streams=streams)
        running.log = crilog.Writer(str(spec["log"]))
        self.by_pid[pid] = running
        for fd in streams:
            os.set_blocking(fd, False)
            self.selector.register(fd, selectors.EVENT_READ, ("output", running))
        return state

    def enter(self, request: dict[str, Any], client: socket.socket, fds: list[int]) -> dict[str, Any]:
        if len(fds) != 3:
            raise ValueError("exec needs three descriptors")
        inside = int(request["pid"])
        if syscalls.start_time(inside) != request["start"]:
            raise RuntimeError("the container is not running")
        with open(request["spec"], "rb") as file:
            spec = json.load(file)
        spec.update({"argv": request["argv"], "tty": request.get("tty", False)})
        error_read, error_write = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            _become(spec, (fds[0], fds[1], fds[2]), error_write, lambda: _join(inside))
        os.close(error_write)
        with open(error_read, "rb") as pipe:
            reason = pipe.read().decode(errors="replace")
        if reason:
            os.waitpid(pid, 0)
            raise RuntimeError(reason)
        self.by_pid[pid] = Running(f"exec-{pid}", pid, client=client, request=int(request["n"]))
        return {"pid": pid}

    # --- what happens by itself

    def output(self, running: Running, fd: int) -> None:
        try:
            data = os.read(fd, 64 * 1024)
        except BlockingIOError:
            return
        except OSError:  # EIO: the last user of a terminal went
            data = b""
        if data and running.log:
            running.log.feed(running.streams[fd], data, time.time_ns())
        elif not data:
            self.close_stream(running, fd)

    def close_stream(self, running: Running, fd: int) -> None:
        self.selector.unregister(fd)
        os.close(fd)
        name = running.streams.pop(fd)
        if running.log:
            running.log.finish(name, time.time_ns())
            if not running.streams:
                running.log.close()

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if (running := self.by_pid.pop(pid, None)) is not None:
                self.ended(running, status)

    def ended(self, running: Running, status: int) -> None:
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = 128 + number if number else os.waitstatus_to_exitcode(status)
        if running.client is not None:
            self.tell(running.client, {"event": "exec", "n": running.request, "code": code})
            return
        self.kill_others(running)
        if running.namespace_handle >= 0:
            os.close(running.namespace_handle)
            running.namespace_handle = -1
        for fd in list(running.streams):
            for _ in range(64):  # what it wrote last is still in the pipe
                if fd in running.streams:
                    self.output(running, fd)
        for fd in list(running.streams):
            self.close_stream(running, fd)
        ending = {"code": code, "signal": number, "finishedAt": time.time_ns()}
        _write_json(f"{running.directory}/exit.json", ending)
        for client in list(self.clients):
            self.tell(client, {"event": "exit", "id": running.id, **ending})

    def tell(self, client: socket.socket, message: dict[str, Any]) -> None:
        try:
            client.send(json.dumps(message).encode(), socket.MSG_NOSIGNAL)
        except OSError:  # it went away; it will ask again when it is back
            pass


# --- in the forked child


def _become(spec: dict[str, Any], ends: tuple[int, int, int], error: int, settle: Any) -> None:
    """Never returns: the child becomes the command, or reports why not on `error` and exits."""
    try:
        signal.set_wakeup_fd(-1)
        for each in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
        os.setsid()
        saved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in ends]
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


def _contain(spec: dict[str, Any]) -> None:
    """New mount and UTS namespaces, the pod's network, an own root."""
    fd = os.open(spec["netns"], os.O_RDONLY | os.O_CLOEXEC)
    syscalls.setns(fd, syscalls.CLONE_NEWNET)
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS)
    socket.sethostname(str(spec["hostname"]))
    rootfs.assume(str(spec["scratch"]), spec["mounts"], spec["hidden"], readonly=bool(spec.get("readonly")))


def _join(pid: int) -> None:
    """The namespaces of a running container; entering its mount namespace also takes its root."""
    kinds = {"net": syscalls.CLONE_NEWNET, "uts": syscalls.CLONE_NEWUTS, "mnt": syscalls.CLONE_NEWNS}
    fds = {name: os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in kinds}
    for name, fd in fds.items():
        syscalls.setns(fd, kinds[name])


def _change_user(spec: dict[str, Any]) -> None:
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


def _standard_input(spec: dict[str, Any]) -> int:
    if not spec.get("stdin"):
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    path = f"{spec['directory']}/stdin"
    if not os.path.exists(path):
        os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)  # read-write: it has no end when an attached client leaves


# --- processes of a namespace


def kill_namespace(inode: int) -> None:
    """SIGKILL every process in mount namespace `inode`, until a look round finds none (children may be born)."""
    for _ in range(50):
        found = [pid for pid in _all_pids() if _mount_namespace(pid) == inode and syscalls.start_time(pid) is not None]
        if not found:
            return
        for pid in found:
            _signal(pid, signal.SIGKILL)
        time.sleep(0.002)


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def _mount_namespace(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError:
        return 0


def _held_namespace(pid: int) -> tuple[int, int]:
    """A descriptor of a process's mount namespace and its inode; (-1, 0) when the process has ended already."""
    try:
        handle = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1, 0
    return handle, os.fstat(handle).st_ino


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        pass


def _write_json(path: str, value: dict[str, Any]) -> None:
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(value, file)
    os.replace(path + ".new", path)


def main() -> None:
    """`launcher <socket path>`; says one byte on stdout when it listens."""
    path = sys.argv[-1]
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.path.exists(path):
        os.unlink(path)
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen(16)
    syscalls.become_subreaper()
    os.umask(0o077)
    with open(path + ".pid", "w", encoding="ascii") as file:
        file.write(f"{os.getpid()} {syscalls.start_time(os.getpid())}")
    os.write(1, b"!")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    Launcher(listener).run()
    os.unlink(path)
    os.unlink(path + ".pid")
