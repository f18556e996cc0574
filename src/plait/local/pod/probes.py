"""Asking a container: http, tcp, grpc and exec probes, from the node's namespace as a kubelet does.

An answer is (ok, message); nothing here counts or decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp

from plait.store.api import Document

Answer = tuple[bool, str]
Execute = Callable[[Sequence[str], float], Awaitable[tuple[int, str]]]  # argv, timeout -> exit code, output
_AGENT = "kube-probe/1.34"


def port_number(port: Any, container: Document) -> int:
    """A number, or the name of one of the container's ports; ValueError names what is wrong."""
    if isinstance(port, int) or str(port).isdecimal():
        return int(port)
    for known in container.get("ports") or ():
        if known.get("name") == port:
            return int(known["containerPort"])
    raise ValueError(f'container "{container["name"]}" has no port named "{port}"')


async def ask(probe: Document, container: Document, address: str, execute: Execute, timeout: float) -> Answer:
    """One question. Never raises: what goes wrong is the message of a failed answer."""
    try:
        if "exec" in probe:
            code, output = await execute([str(word) for word in probe["exec"].get("command") or ()], timeout)
            return code == 0, output.strip()[:1024] or f"exit code {code}"
        async with asyncio.timeout(timeout):
            if "httpGet" in probe:
                return await http_get(probe["httpGet"], container, address)
            if "tcpSocket" in probe:
                return await _tcp(probe["tcpSocket"], container, address)
            if "grpc" in probe:
                return await _grpc(probe["grpc"], container, address)
        return False, "the probe has no handler: want exec, httpGet, tcpSocket or grpc"
    except TimeoutError:
        return False, f"no answer in {timeout:g}s"
    except Exception as error:  # a refused connection, a reset, a bad answer: all say "not healthy"
        return False, str(error) or type(error).__name__


def _end(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def http_get(action: Document, container: Document, address: str) -> Answer:
    port = port_number(action.get("port", 80), container)
    scheme = str(action.get("scheme") or "HTTP").lower()
    path = str(action.get("path") or "/")
    host = action.get("host") or address
    url = f"{scheme}://{_end(host, port)}{path if path.startswith('/') else '/' + path}"
    headers = {"User-Agent": _AGENT, "Accept": "*/*"}
    headers.update({h["name"]: h.get("value", "") for h in action.get("httpHeaders") or ()})
    connector = aiohttp.TCPConnector(ssl=False, force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(url, headers=headers, allow_redirects=False) as response,
    ):
        body = await response.content.read(10 * 1024)
        if 200 <= response.status < 400:
            return True, ""
        return False, f"HTTP probe failed with statuscode: {response.status} {body[:200].decode(errors='replace')}"


async def _tcp(action: Document, container: Document, address: str) -> Answer:
    port = port_number(action.get("port"), container)
    _, writer = await asyncio.open_connection(action.get("host") or address, port)
    writer.close()
    return True, ""


async def _grpc(action: Document, container: Document, address: str) -> Answer:
    import grpc.aio  # here: most nodes never need it

    service = str(action.get("service") or "").encode()
    request = (b"\x0a" + bytes([len(service)]) + service) if service else b""
    async with grpc.aio.insecure_channel(_end(address, port_number(action["port"], container))) as channel:
        call = channel.unary_unary("/grpc.health.v1.Health/Check")
        answer: bytes = await call(request)
    serving = answer == b"\x08\x01"  # HealthCheckResponse{status: SERVING}
    return serving, "" if serving else f"health status is not SERVING ({answer.hex() or 'unknown'})"
