"""Asks every case of every cell on a running mesh, and keeps what both ends saw."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from plait.model.enforcement import ClientMode, ServerMode
from plait.resources.kinds import SERVICE
from plait.trial.fusion.corpus import Case, Seen
from plait.trial.fusion.expected import Expectation, expectation
from plait.trial.fusion.manifests import CLIENTS, NAMESPACE, PORT, SERVERS
from plait.trial.scene import Scene

_TIMEOUT = 6.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One case of one cell."""

    client: ClientMode
    server: ServerMode
    case: Case
    wanted: Expectation
    seen: Seen

    @property
    def held(self) -> bool:
        return self.wanted.met(self.case, self.seen)


class Trial:
    """`await Trial.of(scene)`, then `ask` a cell's cases."""

    def __init__(self, scene: Scene, addresses: Mapping[str, str]) -> None:
        self._scene, self._addresses = scene, addresses

    @classmethod
    async def of(cls, scene: Scene) -> Trial:
        services = {}
        for name in SERVERS.values():
            services[name] = str((await scene.api.get(SERVICE, name, NAMESPACE))["spec"]["clusterIP"])
        return cls(scene, services)

    async def ask(self, client: ClientMode, server: ServerMode, cases: tuple[Case, ...]) -> list[Finding]:
        pod, host = await self._scene.pod(NAMESPACE, CLIENTS[client]), SERVERS[server]
        address, tags = self._addresses[host], [secrets.token_hex(6) for _ in cases]

        async def all_of_them(stop: asyncio.Event) -> list[Seen]:
            return [await exchange(address, host, case, tag) for case, tag in zip(cases, tags, strict=True)]

        seen = await self._scene.inside(pod, all_of_them)
        await asyncio.sleep(0.2)  # mirrored requests are not waited for by anybody
        own, mirror = await self._counts(host, tags), await self._counts("mirror", tags)
        return [
            Finding(client, server, case, expectation(client, server, case), _counted(each, own[tag], mirror[tag]))
            for case, tag, each in zip(cases, tags, seen, strict=True)
        ]

    async def _counts(self, app: str, tags: list[str]) -> dict[str, int]:
        """How often each tag came, asked of each server from beside it: no proxy is on the way."""
        found = dict.fromkeys(tags, 0)
        for pod in await self._scene.pods(NAMESPACE, f"app={app}"):
            for tag, count in (await self._scene.inside(pod, lambda stop: _asked(tags))).items():
                found[tag] += count
        return found


async def _asked(tags: list[str]) -> dict[str, int]:
    """Inside a server's pod."""
    found = {}
    for tag in tags:
        request = f"GET /count/{tag} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        _, _, body = await _http("127.0.0.1", 8080, request)
        found[tag] = int(json.loads(body)["count"])
    return found


async def exchange(address: str, host: str, case: Case, tag: str) -> Seen:
    """The case's request on a connection of its own."""
    lines = [f"{case.method} {case.path} HTTP/1.1", f"host: {host}", "connection: close", f"x-tag: {tag}"]
    lines += [f"{name}: {value}" for name, value in case.headers]
    began = time.perf_counter()
    status, headers, body = await _http(address, PORT, "\r\n".join([*lines, "", ""]))
    return Seen(status, headers, body, time.perf_counter() - began)


async def _http(address: str, port: int, request: str) -> tuple[int, tuple[tuple[str, str], ...], str]:
    """Status 0 with the reason as body when no answer came.

    An answer is over when its body is: Envoy may keep a connection that it announced to close open for another second.
    """
    try:
        async with asyncio.timeout(_TIMEOUT):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(request.encode())
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                pairs = (line.partition(":") for line in head[1:] if line)
                headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
                body = await _body(reader, dict(headers))
            finally:
                writer.close()
    except (OSError, TimeoutError, EOFError, ValueError) as error:
        return 0, (), type(error).__name__
    if not head[0].startswith("HTTP/1."):
        return 0, (), f"not an answer of HTTP/1: {head[0][:40]}"
    return int(head[0].split()[1]), headers, body.decode("utf-8", "replace")


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


def _counted(seen: Seen, own: int, mirror: int) -> Seen:
    return Seen(seen.status, seen.headers, seen.body, seen.seconds, own, mirror)
