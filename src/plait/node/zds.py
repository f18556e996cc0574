"""How a node proxy that is not ours hears which pods to serve: ZDS, with each pod's network namespace as a descriptor.

A sans-IO session per connection: the pods wanted at its beginning are the snapshot, later ones follow one by one, each
sent when the one before was answered. `Server` is the SOCK_SEQPACKET shell. Who is captured when is the driver's.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from google.protobuf.message import DecodeError

from plait.base import aio
from plait.base.descriptors import messages
from plait.base.observe import logger

_log = logger("zds")
_LARGEST: Final = 64 * 1024
_TABLES: Final = {
    "istio.workload.zds": {
        "Version": "NOT_USED=0 V1=1",
        "ZdsHello": "version=1:Version",
        "WorkloadInfo": "name=1:string namespace=2:string service_account=3:string",
        "AddWorkload": "uid=1:string workload_info=2:WorkloadInfo",
        "KeepWorkload": "uid=1:string",
        "DelWorkload": "uid=2:string",
        "SnapshotSent": "",
        "WorkloadRequest": "add=1:payload|AddWorkload del=2:payload|DelWorkload "
        "snapshot_sent=3:payload|SnapshotSent keep=5:payload|KeepWorkload",
        "Ack": "error=1:string",
        "WorkloadResponse": "ack=1:payload|Ack",
    }
}
_CLASSES: dict[str, type[Any]] = messages(_TABLES)
_V1: Final = 1


def _class(name: str) -> Any:
    return _CLASSES[f"istio.workload.zds.{name}"]


_Hello, _Request, _Response = _class("ZdsHello"), _class("WorkloadRequest"), _class("WorkloadResponse")
Verb = Literal["add", "keep", "del", "snapshot"]


class ProtocolError(Exception):
    """The peer said what no ZDS client says; its connection ends."""


class ServeRefused(Exception):
    """The node proxy does not serve this pod; the message is its own."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod as the node proxy is told of it; the uid is Kubernetes' own."""

    uid: str
    name: str
    namespace: str
    service_account: str
    netns: Path


@dataclass(frozen=True, slots=True)
class Told:
    """One request; the pod's namespace goes with an `add`."""

    verb: Verb
    pod: Pod | None = None
    uid: str = ""

    def encode(self) -> bytes:
        request = _Request()
        if self.verb == "snapshot":
            request.snapshot_sent.SetInParent()
        elif self.verb == "add":
            assert self.pod is not None
            request.add.uid = self.pod.uid
            info = request.add.workload_info
            info.name, info.namespace = self.pod.name, self.pod.namespace
            info.service_account = self.pod.service_account
        else:
            getattr(request, self.verb).uid = self.uid
        return bytes(request.SerializeToString())


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a request; `error` is the proxy's text, "" when all is well."""

    told: Told
    error: str


class Session:
    """One connection: `receive` what came, then send what `next` gives, until it gives None."""

    def __init__(self, wanted: Mapping[str, Pod]) -> None:
        self._greeted = False
        self._queue: deque[Told] = deque(Told("add", pod, pod.uid) for pod in wanted.values())
        self._queue.append(Told("snapshot"))
        self._open: Told | None = None
        self.synchronised = False

    def receive(self, data: bytes) -> Answered | None:
        """The hello, or the answer to what was sent last."""
        try:
            if not self._greeted:
                if _Hello.FromString(data).version != _V1:
                    raise ProtocolError("the node proxy does not speak ZDS version 1")
                self._greeted = True
                return None
            response = _Response.FromString(data)
        except DecodeError as error:
            raise ProtocolError(f"not a ZDS message: {error}") from error
        if self._open is None or not response.HasField("ack"):
            raise ProtocolError("an answer to nothing that was asked")
        told, self._open = self._open, None
        self.synchronised = self.synchronised or told.verb == "snapshot"
        return Answered(told, response.ack.error)

    def next(self) -> Told | None:
        """What to send now; None while an answer is due."""
        if not self._greeted or self._open is not None or not self._queue:
            return None
        self._open = self._queue.popleft()
        return self._open

    def unopened(self, told: Told) -> Told:
        """The namespace of what `next` gave cannot be opened: the proxy keeps that pod if it has it."""
        self._open = Told("keep", uid=told.uid)
        return self._open

    def add(self, pod: Pod) -> None:
        self._queue.append(Told("add", pod, pod.uid))

    def remove(self, uid: str) -> None:
        self._queue.append(Told("del", uid=uid))


@dataclass(slots=True)
class _Peer:
    session: Session
    connection: socket.socket
    news: asyncio.Event


class Server:
    """`serve` and `withdraw` pods; the newest connection is asked, so a proxy and its successor may overlap."""

    def __init__(self, path: Path, lost: Callable[[], None] = lambda: None) -> None:
        self._path, self._lost = path, lost
        self._socket: socket.socket | None = None
        self._pods: dict[str, Pod] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._peers: list[_Peer] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.problems: dict[str, str] = {}

    @property
    def connected(self) -> bool:
        return any(peer.session.synchronised for peer in self._peers)

    async def start(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        server.bind(str(self._path))
        self._path.chmod(0o600)
        server.listen(8)
        self._socket = server
        self._tasks.append(aio.spawn(self._accept(server), "zds"))

    async def close(self) -> None:
        await aio.cancel(*self._tasks)
        if self._socket is not None:
            self._socket.close()
            self._path.unlink(missing_ok=True)

    async def serve(self, pod: Pod) -> None:
        """Returns when the node proxy said it serves the pod; ServeRefused with its words otherwise."""
        if (earlier := self._waiting.get(pod.uid)) is not None and not earlier.done():
            earlier.cancel()
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pods[pod.uid], self._waiting[pod.uid] = pod, answer
        if self._peers:  # else the pod is in the snapshot of who comes
            self._peers[-1].session.add(pod)
            self._peers[-1].news.set()
        await answer

    async def withdraw(self, uid: str) -> None:
        """Told, not waited for: the pod's namespace may be gone already."""
        if self._pods.pop(uid, None) is None:
            return
        self._waiting.pop(uid, None)
        self.problems.pop(uid, None)
        for peer in self._peers:
            peer.session.remove(uid)
            peer.news.set()

    async def _accept(self, server: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(server)
            self._tasks = [task for task in self._tasks if not task.done()]
            self._tasks.append(aio.spawn(self._converse(connection), "zds connection"))

    async def _converse(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        peer = _Peer(Session(self._pods), connection, asyncio.Event())
        self._peers.append(peer)
        sender = aio.spawn(self._send(peer), "zds sender")
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(connection, _LARGEST):
                if (answered := peer.session.receive(data)) is not None:
                    self._answered(answered)
                peer.news.set()
        except (ProtocolError, OSError) as error:
            _log.warning("node proxy's connection ended", reason=error)
        finally:
            newest = self._peers[-1] is peer
            self._peers.remove(peer)
            await aio.cancel(sender)
            connection.close()
            if newest:  # an older one that is still there is asked anew
                self._lost()

    async def _send(self, peer: _Peer) -> None:
        while True:
            await peer.news.wait()
            peer.news.clear()
            while (told := peer.session.next()) is not None:
                try:
                    await self._tell(peer, told)
                except OSError as error:  # the reader sees the end too, and cleans up
                    _log.debug("cannot tell the node proxy", reason=error)
                    return

    async def _tell(self, peer: _Peer, told: Told) -> None:
        if told.pod is None:
            await asyncio.get_running_loop().sock_sendall(peer.connection, told.encode())
            return
        try:
            namespace = os.open(told.pod.netns, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            _log.warning("pod's namespace cannot be opened", pod=f"{told.pod.namespace}/{told.pod.name}", error=error)
            await asyncio.get_running_loop().sock_sendall(peer.connection, peer.session.unopened(told).encode())
            return
        try:
            while True:
                with suppress(BlockingIOError):
                    socket.send_fds(peer.connection, [told.encode()], [namespace])
                    return
                await asyncio.sleep(0.005)
        finally:
            os.close(namespace)

    def _answered(self, answered: Answered) -> None:
        told = answered.told
        if answered.error:
            _log.warning("node proxy refuses", verb=told.verb, uid=told.uid, reason=answered.error)
        if told.verb not in ("add", "keep"):
            return
        answer = self._waiting.get(told.uid)
        if answered.error:
            self.problems[told.uid] = answered.error
        else:
            self.problems.pop(told.uid, None)
        if answer is None or answer.done():
            return
        if told.verb == "keep":
            answer.set_exception(ServeRefused("the pod's network namespace cannot be opened"))
        elif answered.error:
            answer.set_exception(ServeRefused(f"the node proxy refused the pod: {answered.error}"))
        else:
            answer.set_result(None)
