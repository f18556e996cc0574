"""A fake kubelet (streams only, on a unix socket) and a tiny API server around `store.streams`, for wire tests."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from plait.base import aio
from plait.store.streams import pod_streams as streams

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "default", "uid": "u", "resourceVersion": "1"},
    "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]},
    "status": {"phase": "Running", "containerStatuses": [{"name": "c", "ready": True, "state": {"running": {}}}]},
}


def kubectls() -> list[str]:
    """Every kubectl of this machine, by version where several are installed."""
    found = shutil.which("kubectl")
    places = {Path(found).resolve().parent, Path("/usr/lib/google-cloud-sdk/bin")} if found else set()
    places.add(Path("/usr/lib/google-cloud-sdk/bin"))
    return sorted(str(each) for place in places if place.is_dir() for each in place.glob("kubectl.1.*")) or (
        [found] if found else []
    )


async def _logs(request: web.Request) -> web.StreamResponse:
    out = web.StreamResponse()
    await out.prepare(request)
    await out.write(b"first\n")
    if request.query.get("follow") == "true":
        await asyncio.sleep(0)
        await out.write(b"second\n")
    return out


async def _exec(request: web.Request) -> web.WebSocketResponse:
    """Runs the command for real; `stdin=1` copies input."""
    socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io",))
    await socket.prepare(request)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *request.query.getall("command", ["cat"]), stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert process.stdin is not None

    async def copy(reader: asyncio.StreamReader | None, channel: int) -> None:
        assert reader is not None
        while data := await reader.read(4096):
            await socket.send_bytes(bytes([channel]) + data)

    async def feed() -> None:
        assert process.stdin is not None
        async for message in socket:
            if message.type == aiohttp.WSMsgType.BINARY:
                if message.data[:1] == b"\x00":
                    process.stdin.write(message.data[1:])
                elif message.data == b"\xff\x00":
                    process.stdin.close()

    if request.query.get("stdin") != "1":
        process.stdin.close()
    reader = aio.spawn(feed(), "fake exec stdin")
    await asyncio.gather(copy(process.stdout, 1), copy(process.stderr, 2))
    code = await process.wait()
    status: dict[str, Any] = {"metadata": {}, "status": "Success"}
    if code:
        cause = {"reason": "ExitCode", "message": str(code)}
        status = {
            "metadata": {},
            "status": "Failure",
            "reason": "NonZeroExitCode",
            "message": f"command terminated with non-zero exit code: exit status {code}",
            "details": {"causes": [cause]},
        }
    await socket.send_bytes(b"\x03" + json.dumps(status).encode())
    await aio.cancel(reader)
    await socket.close()
    return socket


async def _portforward(request: web.Request) -> web.WebSocketResponse:
    """One echo: answers in capitals, names the port first."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type == aiohttp.WSMsgType.BINARY:
            await socket.send_bytes(request.query["port"].encode() + b":" + message.data.upper())
            await socket.close()
    return socket


@asynccontextmanager
async def fake_kubelet(path: Path) -> AsyncIterator[Path]:
    app = web.Application()
    app.add_routes(
        [
            web.get("/logs/{ns}/{pod}/{container}", _logs),
            web.get("/exec/{ns}/{pod}/{container}", _exec),
            web.get("/attach/{ns}/{pod}/{container}", _exec),
            web.get("/portforward/{ns}/{pod}", _portforward),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    try:
        yield path
    finally:
        await runner.cleanup()


@asynccontextmanager
async def tiny_server(socket: Path) -> AsyncIterator[str]:
    """Discovery, one pod and the stream routes; gives the base URL."""

    async def get_pod(namespace: str, name: str) -> dict[str, Any] | None:
        return POD if (namespace, name) == ("default", "web") else None

    def says(document: dict[str, Any]) -> Any:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response(document)

        return answer

    pods = {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"]}
    app = web.Application()
    app.add_routes(
        [
            web.get("/api", says({"kind": "APIVersions", "versions": ["v1"]})),
            web.get("/apis", says({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})),
            web.get("/api/v1", says({"kind": "APIResourceList", "groupVersion": "v1", "resources": [pods]})),
            web.get("/api/v1/namespaces/default/pods/web", says(POD)),
            *streams.routes(lambda pod: socket, get_pod),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
