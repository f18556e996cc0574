"""One page of metrics for a node: Envoy's with the mesh's names as people know them, and the agent's own.

Envoy puts `envoy_` before every metric, also before the mesh's `istio_*`; that prefix is taken off here. Bytes of
living connections are added to the counters (`living`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from plait.proxy import merging
from plait.proxy.living import Living

_PREFIX = re.compile(r"^((?:# (?:TYPE|HELP) )?)envoy_(istio_)", re.MULTILINE)
_NOBODY = re.compile(r'\b((?:source|destination)_\w+|connection_security_policy)=""')


def renamed(text: str) -> str:
    """`envoy_istio_tcp_…` -> `istio_tcp_…`; everything else as it was."""
    return _PREFIX.sub(r"\1\2", text)


def known(text: str) -> str:
    """Labels of who was chosen are empty where nobody was (an answer of the proxy's own): as Istio, say "unknown".

    Envoy could say so itself, but a fallback for each label costs a proxy half as much again for every service. A
    series that there is already under the new labels takes the numbers in.
    """
    if not _NOBODY.search(text):
        return text
    lines: list[str] = []
    places: dict[str, int] = {}
    for line in text.splitlines():
        if line.startswith("istio_"):
            series, _, value = line.rpartition(" ")
            series = _NOBODY.sub(r'\1="unknown"', series)
            place = places.setdefault(series, len(lines))
            line = f"{series} {value}"
            if place < len(lines):
                lines[place] = f"{series} {merging.number(float(lines[place].rpartition(' ')[2]) + float(value))}"
                continue
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)


class MetricsServer:
    """Serves /metrics and /stats/prometheus, and /status: JSON of what `status()` says.

    When Envoy is away, the agent's own metrics still come. `ended` is awaited at the end.
    """

    def __init__(
        self,
        envoy: Callable[[], Awaitable[str]],
        registry: CollectorRegistry,
        status: Callable[[], Awaitable[Any]] | None = None,
        ended: Callable[[], Awaitable[None]] | None = None,
        more: Mapping[str, Callable[[], Awaitable[Any]]] = {},
    ) -> None:
        """`more`: further paths, and what is told there as JSON."""
        self._envoy, self._registry, self._ended = envoy, registry, ended
        self._told = {**({"/status": status} if status is not None else {}), **more}
        self._living, self._one = Living(), asyncio.Lock()
        self._runner: web.AppRunner | None = None

    async def start(self, port: int, *hosts: str) -> None:
        runner = await self._running()
        for host in hosts:
            await web.TCPSite(runner, host, port).start()

    async def start_at(self, socket: Path) -> None:
        """On a unix socket, for an Envoy that passes the page on."""
        await web.UnixSite(await self._running(), socket).start()

    async def _running(self) -> web.AppRunner:
        application = web.Application()
        application.router.add_get("/metrics", self._answer)
        application.router.add_get("/stats/prometheus", self._answer)
        for path, tell in self._told.items():
            application.router.add_get(path, _telling(tell))
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        return self._runner

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._ended is not None:
            await self._ended()

    async def page(self) -> str:
        own = generate_latest(self._registry).decode()
        try:
            async with self._one:  # in a thread: thousands of living connections make a page of megabytes
                return await asyncio.to_thread(self._shown, await self._envoy()) + own
        except Exception as error:  # a scrape while Envoy restarts is not a failure of the page
            return f"# envoy does not answer: {type(error).__name__}\n{own}"

    def _shown(self, text: str) -> str:
        return known(self._living.page(renamed(text)))

    async def _answer(self, request: web.Request) -> web.Response:
        body = await self.page()
        return web.Response(text=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def _telling(tell: Callable[[], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(await tell()), content_type="application/json")

    return answer
