"""The parent of every container of one node: forks, builds the root, execs, writes logs, keeps exit codes.

A process of its own (a few megabytes, standard library only), so containers, their output and their exit codes
outlive a kubelet that dies. It takes orders on a SEQPACKET socket (JSON; `exec` passes three descriptors) and
decides nothing: restarts, probes and graces are the kubelet's. One thread, no locks: forking is safe.
"""

from __future__ import annotations

import array
import json
import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from plait.local import crilog, launched, syscalls
from plait.local.mount_namespace import MountNamespace


@dataclass
class Running:
    """One process tree we started: a container (has a `directory`) or an exec session (has a `client`)."""

    id: str
    pid: int
    directory: str = ""
    namespace: MountNamespace | None = None  # of a container
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
        with suppress(OSError):
            os.kill(running.pid, signal.SIGKILL)
        self.kill_others(running)

    def kill_others(self, running: Running) -> None:
        """Every process of the container, as the end of a container's process 1 ends all the others."""
        if running.namespace is not None:
            running.namespace.kill_all()

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
            launched.become(spec, ends, error_write, lambda: launched.contain(spec))
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
        running = Running(str(spec["id"]), pid, directory, MountNamespace(pid), streams=streams)
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
            launched.become(spec, (fds[0], fds[1], fds[2]), error_write, lambda: launched.join(inside))
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
        if running.namespace is not None:
            running.namespace.release()
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


def _standard_input(spec: dict[str, Any]) -> int:
    if not spec.get("stdin"):
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    path = f"{spec['directory']}/stdin"
    if not os.path.exists(path):
        os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)  # read-write: it has no end when an attached client leaves


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
