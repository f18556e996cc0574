"""How do clients reach a pod's streams? Log, exec, attach and port-forward, joined to the kubelet of the pod's node.

The kubelet speaks one form on its unix socket (chunked text, WebSocket v5 channels); clients speak several: WebSocket
(v4, v5), SPDY/3.1 upgraded on the raw connection, and SPDY tunnelled in WebSocket. What processes do is the kubelet's.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from plait.store.streams import channels, forwards, wires
from plait.store.streams.wires import KubeletGone

Document = dict[str, Any]
GetPod = Callable[[str, str], "Awaitable[Document | None] | Document | None"]
SocketOf = Callable[[Document], Path]
_LOG_OPTIONS = ("follow", "tailLines", "sinceSeconds", "sinceTime", "timestamps", "previous", "limitBytes")
_POD = "/api/v1/namespaces/{namespace}/pods/{name}/"


def routes(kubelet_socket_of: SocketOf, get_pod: GetPod) -> list[web.RouteDef]:
    """The routes of pods/log, exec, attach and portforward."""
    doors = _Doors(kubelet_socket_of, get_pod)
    found = [web.get(_POD + "log", doors.log, allow_head=False)]
    for name, door in (("exec", doors.exec), ("attach", doors.attach), ("portforward", doors.portforward)):
        found += [web.get(_POD + name, door, allow_head=False), web.post(_POD + name, door)]
    return found


def _refused(code: int, reason: str, message: str) -> web.Response:
    status = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    }  # fmt: skip
    return web.Response(body=orjson.dumps(status), status=code, content_type="application/json")


class _Doors:
    def __init__(self, socket_of: SocketOf, get_pod: GetPod) -> None:
        self._socket_of, self._get_pod = socket_of, get_pod

    async def _pod(self, request: web.Request) -> Document | web.Response:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        found = self._get_pod(namespace, name)
        pod = await found if inspect.isawaitable(found) else found
        if pod is None:
            return _refused(404, "NotFound", f'pods "{name}" not found')
        if not pod["spec"].get("nodeName"):
            return _refused(400, "BadRequest", f"pod {name} does not have a host assigned")
        return pod

    def _container(self, pod: Document, wanted: str) -> str | web.Response:
        name = pod["metadata"]["name"]
        known = [each["name"] for each in pod["spec"].get("containers", ())]
        initial = [each["name"] for each in pod["spec"].get("initContainers", ())]
        if not wanted:
            if len(known) == 1:
                return str(known[0])
            message = f"a container name must be specified for pod {name}, choose one of: [{' '.join(known)}]"
            return _refused(400, "BadRequest", message)
        if wanted not in known + initial:
            return _refused(400, "BadRequest", f"container {wanted} is not valid for pod {name}")
        return wanted

    async def log(self, request: web.Request) -> web.StreamResponse:
        pod = await self._pod(request)
        if isinstance(pod, web.Response):
            return pod
        container = self._container(pod, request.query.get("container", ""))
        if isinstance(container, web.Response):
            return container
        query = {key: request.query[key] for key in _LOG_OPTIONS if key in request.query}
        path = f"/logs/{pod['metadata']['namespace']}/{pod['metadata']['name']}/{container}"
        try:
            async with (
                wires.kubelet(self._socket_of(pod)) as session,
                session.get("http://kubelet" + path, params=query) as answer,
            ):
                if answer.status != 200:
                    reason = "NotFound" if answer.status == 404 else "BadRequest"
                    return _refused(answer.status, reason, await answer.text())
                out = web.StreamResponse(headers={"Content-Type": "text/plain"})
                await out.prepare(request)
                async for chunk in answer.content.iter_any():
                    await out.write(chunk)
                return out
        except (aiohttp.ClientConnectorError, FileNotFoundError) as error:
            return _refused(500, "InternalError", f"the kubelet of this pod's node does not answer: {error}")

    async def exec(self, request: web.Request) -> web.StreamResponse:
        return await self._process(request, "exec")

    async def attach(self, request: web.Request) -> web.StreamResponse:
        return await self._process(request, "attach")

    async def _process(self, request: web.Request, verb: str) -> web.StreamResponse:
        pod = await self._pod(request)
        if isinstance(pod, web.Response):
            return pod
        container = self._container(pod, request.query.get("container", ""))
        if isinstance(container, web.Response):
            return container
        query = [("command", each) for each in request.query.getall("command", [])]
        flags = {name: request.query.get(name) in ("1", "true") for name in ("stdin", "stdout", "stderr", "tty")}
        if verb == "exec" and not query:
            return _refused(400, "BadRequest", "you must specify at least 1 command for the container")
        if not any(flags[name] for name in ("stdin", "stdout", "stderr")):
            return _refused(400, "BadRequest", "you must specify at least 1 of stdin, stdout, stderr")
        query += [(name, "1" if on else "0") for name, on in flags.items()]
        path = f"/{verb}/{pod['metadata']['namespace']}/{pod['metadata']['name']}/{container}"
        try:
            async with (
                wires.kubelet(self._socket_of(pod)) as session,
                session.ws_connect(
                    "http://kubelet" + path, params=query, protocols=("v5.channel.k8s.io",), max_msg_size=0
                ) as inner,
            ):
                return await channels.serve(request, inner, flags)
        except (aiohttp.ClientConnectorError, aiohttp.WSServerHandshakeError, FileNotFoundError) as error:
            return _refused(500, "InternalError", f"the kubelet of this pod's node refused: {error}")

    async def portforward(self, request: web.Request) -> web.StreamResponse:
        pod = await self._pod(request)
        if isinstance(pod, web.Response):
            return pod
        try:
            return await forwards.serve(request, self._socket_of(pod), pod["metadata"])
        except KubeletGone as error:
            return _refused(500, "InternalError", str(error))
