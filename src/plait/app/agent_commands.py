"""What people may tell a node's agent to do, over a unix socket that only the mesh's owner can open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from plait.app.agent_paths import DUMP, LOG, PROXIES, RESTART
from plait.app.proxy_reports import ProxyReports, UnknownProxy
from plait.proxy.admin import AdminError
from plait.proxy.supervise import Handover, StartFailed


class AgentCommands:
    """POST /proxy/restart: another Envoy takes over; the answer says what was measured.

    GET /proxies: every Envoy of the node and how it stands. GET /proxies/dump?proxy=NAME: its configuration, no keys.
    POST /proxies/log?proxy=NAME&levels=…: how much it logs, after a change.
    """

    def __init__(self, socket: Path, renew: Callable[[], Awaitable[Handover]], reports: ProxyReports) -> None:
        self._socket, self._renew, self._reports = socket, renew, reports
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        application = web.Application()
        application.router.add_post(RESTART, self._restart)
        application.router.add_get(PROXIES, self._proxies)
        application.router.add_get(DUMP, self._dump)
        application.router.add_post(LOG, self._log)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        self._socket.unlink(missing_ok=True)
        await web.UnixSite(self._runner, str(self._socket)).start()
        self._socket.chmod(0o600)

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _restart(self, request: web.Request) -> web.Response:
        try:
            done = await self._renew()
        except StartFailed as error:
            return web.Response(status=503, text=str(error))
        return web.Response(body=orjson.dumps(done), content_type="application/json")

    async def _proxies(self, request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(await self._reports.listed()), content_type="application/json")

    async def _dump(self, request: web.Request) -> web.Response:
        return await _answer(self._reports.dump(request.query.get("proxy", "")))

    async def _log(self, request: web.Request) -> web.Response:
        asked = request.query
        return await _answer(self._reports.logging(asked.get("proxy", ""), asked.get("levels", "")))


async def _answer(asked: Awaitable[Any]) -> web.Response:
    try:
        found = await asked
    except UnknownProxy as error:
        return web.Response(status=404, text=str(error))
    except AdminError as error:
        return web.Response(status=503, text=str(error))
    return web.Response(body=orjson.dumps(found), content_type="application/json")
