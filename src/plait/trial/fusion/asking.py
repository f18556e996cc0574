"""The client of the trial: the requests of one case as its pod sends them, and what came back. No retries.

Requests one after another share a connection, so that one server sees them all, whoever balances.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from plait.trial.fusion.corpus import Case, Seen

_TIMEOUT = 6.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Status 0 with the reason as body when no answer came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str


async def asked(address: str, port: int, host: str, case: Case, tag: str) -> Seen:
    """All requests of a case; what is seen is the first answer, and the status of each."""
    began = time.perf_counter()
    if case.together:
        each = (answers(address, port, (_request(case, host, tag, last=True),)) for _ in range(case.requests))
        found = [answer for (answer,) in await asyncio.gather(*each)]
    else:
        written = [_request(case, host, tag, last=number == case.requests - 1) for number in range(case.requests)]
        found = await answers(address, port, tuple(written))
    first, took = found[0], time.perf_counter() - began
    return Seen(first.status, first.headers, first.body, took, statuses=tuple(answer.status for answer in found))


def _request(case: Case, host: str, tag: str, *, last: bool) -> str:
    lines = [f"{case.method} {case.path} HTTP/1.1", f"host: {host}", f"x-tag: {tag}"]
    lines += ["connection: close"] if last else []
    lines += [f"{name}: {value}" for name, value in case.headers]
    return "\r\n".join([*lines, "", ""])


async def answers(address: str, port: int, requests: tuple[str, ...]) -> list[Answer]:
    """To requests sent one after another on one connection; what fails ends it for those that follow."""
    found: list[Answer] = []
    try:
        async with asyncio.timeout(_TIMEOUT):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                for request in requests:
                    writer.write(request.encode())
                    found.append(await _answer(reader))
            finally:
                writer.close()
    except (OSError, TimeoutError, EOFError, ValueError) as error:
        found += [Answer(0, (), type(error).__name__)] * (len(requests) - len(found))
    return found


async def _answer(reader: asyncio.StreamReader) -> Answer:
    """It is over when its body is: Envoy may keep a connection that it announced to close open for another second."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
    if not head[0].startswith("HTTP/1."):
        return Answer(0, (), f"not an answer of HTTP/1: {head[0][:40]}")
    body = await _body(reader, dict(headers))
    return Answer(int(head[0].split()[1]), headers, body.decode("utf-8", "replace"))


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """Of one answer, framed by its length, by chunks or by the end of the connection."""
    if headers.get("transfer-encoding") == "chunked":
        found = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            found += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return found
    if (length := headers.get("content-length")) is not None:
        return await reader.readexactly(int(length))
    return await reader.read()
