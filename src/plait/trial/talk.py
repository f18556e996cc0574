"""Single exchanges as an application would make them: one HTTP request, one greeting of a server that speaks first.

Coroutines for `child.start`: they run inside a pod's network namespace and return plain values.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Reply:
    """`status` 0 means that no answer came; `body` then says why. `seconds` is the whole exchange."""

    status: int
    body: str
    seconds: float
    server: str = ""
    """This and the next: the headers of these names."""
    location: str = ""


async def get(host: str, port: int, path: str = "/", headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """GET on a connection of its own."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(5.0):
            reader, writer = await asyncio.open_connection(host, port)
            lines = [f"GET {path} HTTP/1.1", f"host: {host}:{port}", "connection: close"]
            lines += [f"{name}: {value}" for name, value in headers]
            writer.write("\r\n".join([*lines, "", ""]).encode())
            data = await reader.read(_LIMIT)
            while more := await reader.read(_LIMIT):
                data += more
            writer.close()
    except (OSError, TimeoutError) as error:
        return Reply(0, type(error).__name__, time.perf_counter() - began)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1."):
        return Reply(0, "connection closed without an answer", time.perf_counter() - began)
    fields = {
        name.lower(): value.strip().decode() for name, _, value in (line.partition(b":") for line in head.splitlines())
    }
    server, location = fields.get(b"server", ""), fields.get(b"location", "")
    return Reply(int(head[9:12]), body.decode(errors="replace"), time.perf_counter() - began, server, location)


async def greeting(host: str, port: int) -> Reply:
    """Connect, say nothing, and give the first line the server says (status 220 of its text, 0 when none came)."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(5.0):
            reader, writer = await asyncio.open_connection(host, port)
            line = (await reader.readline()).decode(errors="replace").strip()
            took = time.perf_counter() - began
            with contextlib.suppress(OSError):
                writer.close()
    except (OSError, TimeoutError) as error:
        return Reply(0, type(error).__name__, time.perf_counter() - began)
    return Reply(int(line[:3]) if line[:3].isdigit() else 0, line or "closed without a greeting", took)
