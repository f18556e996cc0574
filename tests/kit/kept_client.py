"""A client of an API server that a test keeps while it runs: tests poll, and a connection for each question is dear.

A new connection took 13 ms of a core (both ends of the handshake), a question on one that is there half a millisecond.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plait.store.client import HttpApi


class KeptClient:
    """Asked from any thread; its connections live in a loop of its own, which notices when a server closes them."""

    def __init__(self, kubeconfig: Path, socket: Path) -> None:
        self._kubeconfig, self._socket = kubeconfig, socket
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kept client", daemon=True)
        self._thread.start()
        self._api: HttpApi | None = None
        self._written = 0

    def ask(self, work: Callable[[HttpApi], Any]) -> Any:
        async def body() -> Any:
            return await work(await self._client())

        return asyncio.run_coroutine_threadsafe(body(), self._loop).result()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._forget(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _client(self) -> HttpApi:
        """A mesh that came up anew has other credentials."""
        written = self._kubeconfig.stat().st_mtime_ns
        if written != self._written:
            await self._forget()
        if self._api is None:
            self._api, self._written = HttpApi.from_kubeconfig(self._kubeconfig, socket=self._socket), written
        return self._api

    async def _forget(self) -> None:
        if self._api is not None:
            api, self._api = self._api, None
            await api.close()
