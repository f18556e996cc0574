"""`plait exec`: run a command in a container, with its input, output and exit code (WebSocket v5.channel.k8s.io)."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import aiohttp
import orjson
import typer

from plait.base.aio import cancel, spawn
from plait.cli import connect, references
from plait.resources.kinds import POD
from plait.store.client import HttpApi
from plait.store.client import path as rest_path

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_STDIN, _STDOUT, _STDERR, _ERROR, _CLOSE = 0, 1, 2, 3, 255


@app.command()
def execute(
    pod: Annotated[str, typer.Argument(help="Pod, or what has it: deployment/NAME, service/NAME.")],
    command: Annotated[list[str], typer.Argument(help="The command, after --.")],
    container: Annotated[str, typer.Option("-c", "--container")] = "",
    namespace: Annotated[str, typer.Option("-n", "--namespace")] = "default",
    stdin: Annotated[bool, typer.Option("-i", "--stdin", help="Pass standard input on.")] = False,
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    kubeconfig: Annotated[Path | None, typer.Option(help="Another API server.")] = None,
) -> int:
    """plait exec -n demo sleep-… -- curl -s httpbin:8000/get

    The exit code is the command's own. For an interactive terminal use kubectl exec -it.
    """
    query = [("stdout", "true"), ("stderr", "true"), *(("command", word) for word in command)]
    if container:
        query.append(("container", container))
    if stdin:
        query.append(("stdin", "true"))
    return asyncio.run(_execute(pod, namespace, query, stdin, name, kubeconfig))


async def _execute(
    pod: str, namespace: str, query: list[tuple[str, str]], stdin: bool, mesh: str, kubeconfig: Path | None
) -> int:
    async with connect.api(mesh, kubeconfig) as api:
        pod = (await references.pods(api, namespace, pod))[0]
        session, base, tls = api.session
        url = base + rest_path(POD, namespace, pod, "exec")
        try:
            async with session.ws_connect(url, params=query, protocols=("v5.channel.k8s.io",), ssl=tls) as socket:
                return await _talk(socket, stdin)
        except aiohttp.WSServerHandshakeError as error:
            why = await _reason(api, pod, namespace, dict(query).get("container", ""), error)
            raise connect.NoMesh(f"pod {namespace}/{pod}: {why}") from error


async def _reason(api: HttpApi, pod: str, namespace: str, container: str, error: aiohttp.WSServerHandshakeError) -> str:
    """A handshake's answer has no body: what is wrong is looked up."""
    from plait.store.api import ApiError

    try:
        spec = (await api.get(POD, pod, namespace))["spec"]
    except ApiError as wrong:
        return wrong.message
    names = [each["name"] for each in (*(spec.get("initContainers") or ()), *spec["containers"])]
    if container and container not in names:
        return f"no container {container!r}; there is {', '.join(names)}"
    return f"exec was refused ({error.status} {error.message})"


async def _talk(socket: aiohttp.ClientWebSocketResponse, stdin: bool) -> int:
    feeder = spawn(_feed(socket), "stdin") if stdin else None
    code = 1
    try:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel in (_STDOUT, _STDERR):
                stream = sys.stdout.buffer if channel == _STDOUT else sys.stderr.buffer
                stream.write(data)
                stream.flush()
            elif channel == _ERROR:
                code = _exit_code(data)
    finally:
        await cancel(feeder)
    return code


async def _feed(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Standard input until its end, then the half close."""
    loop = asyncio.get_running_loop()
    while data := await loop.run_in_executor(None, os.read, 0, 65536):
        await socket.send_bytes(bytes([_STDIN]) + data)
    await socket.send_bytes(bytes([_CLOSE, _STDIN]))


def _exit_code(status: bytes) -> int:
    found = orjson.loads(status)
    if found.get("status") == "Success":
        return 0
    for cause in (found.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    print(found.get("message", "the command failed"), file=sys.stderr)
    return 1
