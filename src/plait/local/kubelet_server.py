"""The kubelet's streaming endpoints on a unix socket: logs, exec, attach, port-forward, and its pods as JSON.

The API server calls it for `kubectl logs|exec|attach|port-forward`. Exec and attach speak `v5.channel.k8s.io`;
port-forward is one WebSocket for one TCP connection, raw bytes.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from plait.base import aio, netns
from plait.base.observe import logger
from plait.local import logfollow
from plait.local.containers import StartError
from plait.local.kubelet import Kubelet
from plait.local.pod import spec as podspec
from plait.local.pod.worker import PodWorker
from plait.local.sessions import PROTOCOLS, Session, status_document
from plait.store.api import Document

_log = logger("kubelet.server")
_CHUNK = 64 * 1024


class KubeletServer:
    def __init__(self, kubelet: Kubelet, path: Path) -> None:
        self._kubelet, self._path = kubelet, path
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/pods", self._pods)
        app.router.add_get("/logs/{namespace}/{pod}/{container}", self._logs)
        app.router.add_get("/exec/{namespace}/{pod}/{container}", self._exec)
        app.router.add_get("/attach/{namespace}/{pod}/{container}", self._attach)
        app.router.add_get("/portforward/{namespace}/{pod}", self._port_forward)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        await web.UnixSite(self._runner, str(self._path)).start()
        self._path.chmod(0o600)

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        self._path.unlink(missing_ok=True)

    async def _pods(self, request: web.Request) -> web.Response:
        pods = [
            {
                "pod": worker.key,
                "uid": worker.uid,
                "address": worker.sandbox.address,
                "netns": str(worker.sandbox.netns),
                "phase": worker.lifecycle.phase,
                "containers": {
                    c.name: {"stage": c.stage, "attempt": c.attempt, "pid": running.pid if running else 0}
                    for c in worker.lifecycle.containers.values()
                    for running in (worker.containers.live.get(c.name),)
                },
            }
            for worker in self._kubelet.workers.values()
        ]
        return web.json_response({"node": self._kubelet.node.name, "pods": pods})

    def _worker(self, request: web.Request) -> PodWorker:
        namespace, name = request.match_info["namespace"], request.match_info["pod"]
        worker = self._kubelet.find(namespace, name)
        if worker is None:
            raise _refuse(web.HTTPNotFound, f"pod {namespace}/{name} is not on node {self._kubelet.node.name}")
        return worker

    def _container(self, request: web.Request, worker: PodWorker) -> str:
        name = request.match_info["container"]
        if name not in worker.lifecycle.containers:
            known = ", ".join(worker.lifecycle.containers)
            raise _refuse(
                web.HTTPBadRequest, f"container {name} is not valid for pod {worker.key}: choose one of {known}"
            )
        return name

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        worker = self._worker(request)
        name = self._container(request, worker)
        container = worker.lifecycle.containers[name]
        try:
            options = logfollow.Options.parse(request.query, aio.now())
        except ValueError as error:
            raise _refuse(web.HTTPBadRequest, str(error)) from error
        attempt = container.attempt - (1 if options.previous else 0)
        file = podspec.log_file(worker.directory, name, attempt)
        if options.previous and (attempt < 0 or not file.exists()):
            raise _refuse(web.HTTPBadRequest, f'previous terminated container "{name}" in pod "{worker.key}" not found')
        if not file.exists() and container.stage in ("waiting", "starting") and not options.follow:
            reason = container.reason or "ContainerCreating"
            raise _refuse(web.HTTPBadRequest, f'container "{name}" in pod "{worker.key}" is waiting to start: {reason}')
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)

        def over() -> bool:
            return worker.gone or container.attempt != attempt or container.stage == "exited"

        try:
            async for chunk in logfollow.read(file, options, over):
                await response.write(chunk)
            await response.write_eof()
        except ConnectionError:  # the reader has seen enough
            pass
        return response

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        worker = self._worker(request)
        name = self._container(request, worker)
        command = request.query.getall("command", [])
        if not command:
            raise _refuse(web.HTTPBadRequest, "exec needs at least one command parameter")
        running = worker.containers.live.get(name)
        if running is None:
            raise _refuse(web.HTTPBadRequest, f'container "{name}" in pod "{worker.key}" is not running')
        stream = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=0)
        await stream.prepare(request)
        session = Session(stream, tty=_true(request, "tty"), stdin=_true(request, "stdin"))
        try:
            directory = podspec.container_directory(worker.directory, name, worker.lifecycle.containers[name].attempt)
            status = await session.execute(self._kubelet.node.containers, running, directory, command)
        except StartError as error:
            status = status_document(126, f"error executing command: {error}")
        await session.finish(status)
        return stream

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        """Output from now on; input goes to the container's stdin where it has one."""
        worker = self._worker(request)
        name = self._container(request, worker)
        container, attempt = worker.lifecycle.containers[name], worker.lifecycle.containers[name].attempt
        file = podspec.log_file(worker.directory, name, attempt)
        fifo = podspec.container_directory(worker.directory, name, attempt) / "stdin"
        stream = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=0)
        await stream.prepare(request)
        session = Session(stream, tty=_true(request, "tty"), stdin=_true(request, "stdin"))
        options = logfollow.Options(follow=True, tail=0)

        def over() -> bool:
            return worker.gone or container.attempt != attempt or container.stage == "exited" or stream.closed

        entries = logfollow.entries(file, options, over)
        await session.attach(entries, fifo if fifo.exists() else None)
        await session.finish(status_document(container.ending.code if container.ending else 0, ""))
        return stream

    async def _port_forward(self, request: web.Request) -> web.StreamResponse:
        worker = self._worker(request)
        try:
            port = int(request.query.get("port", ""))
        except ValueError as error:
            raise _refuse(web.HTTPBadRequest, "port must be a number") from error
        try:
            connection = await asyncio.to_thread(_dial, worker.sandbox.netns, port)
        except OSError as error:
            raise _refuse(
                web.HTTPBadGateway, f"pod {worker.key}: nothing answers on 127.0.0.1:{port} inside the pod: {error}"
            ) from error
        connection.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=connection)
        stream = web.WebSocketResponse(max_msg_size=0)
        await stream.prepare(request)

        async def outward() -> None:
            while data := await reader.read(_CHUNK):
                await stream.send_bytes(data)
            await stream.close()

        copying = aio.spawn(outward(), f"port-forward {worker.key}:{port}")
        try:
            async for message in stream:
                if message.type is WSMsgType.BINARY:
                    writer.write(message.data)
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
            await aio.cancel(copying)
        return stream


def _dial(space: Path, port: int) -> socket.socket:
    """A TCP connection made inside the pod's network namespace (a socket stays in the one it was made in)."""
    return netns.call(space, lambda: socket.create_connection(("127.0.0.1", port), 5.0))


def _true(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").lower() in ("1", "true")


def _refuse(kind: type[web.HTTPError], message: str) -> web.HTTPError:
    body: Document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}
    body["code"] = kind.status_code
    body["reason"] = {404: "NotFound", 400: "BadRequest"}.get(kind.status_code, "InternalError")
    import json

    options: dict[str, Any] = {"text": json.dumps(body), "content_type": "application/json"}
    return kind(**options)
