"""A typed client of Envoy's admin interface, over a unix socket or TCP.

Only what the mesh asks of a proxy: is it ready, what does it listen on, what does it hold, its numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import orjson

_NO_CLIENTS = ("listener.admin.downstream_cx_active", "listener.tunnel.downstream_cx_active")


class AdminError(Exception):
    """Envoy answered with another status than 200, or not at all."""


class Admin:
    """`Admin(Path("…/admin.sock"))` or `Admin("127.0.0.1:15000")`."""

    def __init__(self, where: Path | str, timeout: float = 5.0) -> None:
        self._where = where
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ready(self) -> bool:
        """LIVE, not warming and not draining."""
        try:
            return (await self._ask("GET", "/ready")).strip() == "LIVE"
        except AdminError:
            return False

    async def prometheus(self) -> str:
        """All used metrics in Prometheus text format."""
        return await self._ask("GET", "/stats/prometheus?usedonly")

    async def stats(self, matching: str = "") -> dict[str, int]:
        """Counters and gauges whose names match the regular expression."""
        query = {"filter": matching} if matching else {}
        lines = (line.rpartition(": ") for line in (await self._ask("GET", "/stats", query)).splitlines())
        return {name: int(value) for name, _, value in lines if value.isdigit()}

    async def histograms(self, matching: str) -> list[tuple[tuple[float, int], ...]]:
        """(upper bound, how many were at most that) of each histogram whose name matches, since the start."""
        query = {"filter": matching, "format": "json", "histogram_buckets": "cumulative", "usedonly": ""}
        found = await self._json("/stats", query)
        return [
            tuple((float(bucket["upper_bound"]), int(bucket["cumulative"])) for bucket in histogram["buckets"])
            for part in found.get("stats", ())
            for histogram in part.get("histograms", ())
        ]

    async def listeners(self) -> dict[str, str]:
        """Active listener name -> address."""
        found = await self._json("/listeners", {"format": "json"})
        return {
            listener["name"]: _address(listener.get("local_address", {}))
            for listener in found.get("listener_statuses", ())
        }

    async def config_dump(self, resource: str = "") -> dict[str, Any]:
        return await self._json("/config_dump", {"resource": resource} if resource else {})

    async def everything(self) -> dict[str, Any]:
        """The whole configuration in use, endpoints included. Keys are left out by Envoy itself."""
        return await self._json("/config_dump", {"include_eds": "true"})

    async def clusters(self) -> dict[str, Any]:
        """What it balances over now: hosts of every cluster and how they are."""
        return await self._json("/clusters", {"format": "json"})

    async def stop_listening(self) -> None:
        """Close every listening socket now; what is open stays open."""
        await self._ask("POST", "/drain_listeners")

    async def go_away(self, *, inbound_only: bool = False) -> None:
        """Ask HTTP clients to use another connection from their next request on. No connection is closed for it, and
        listeners take new ones: of whoever has not heard yet that we go."""
        await self._ask("POST", "/drain_listeners?graceful&skip_exit" + ("&inboundonly" if inbound_only else ""))

    async def drain(self) -> None:
        """Close listeners gracefully: existing connections are asked to end, and after the drain time none is taken."""
        await self._ask("POST", "/drain_listeners?graceful")

    async def fail_health(self) -> None:
        """Answer probes with no from now on."""
        await self._ask("POST", "/healthcheck/fail")

    async def connections(self) -> int:
        """Connections clients have to it, its own admin's not counted."""
        found = await self.stats(r"^listener\.[^.]+\.downstream_cx_active$")
        return sum(value for name, value in found.items() if name not in _NO_CLIENTS)

    async def logging(self, **levels: str) -> dict[str, str]:
        """`logging(level="debug")` for all, or `logging(paths="tls:debug,http:info")`; each logger's level then."""
        lines = (await self._ask("POST", "/logging", levels)).splitlines()
        return {name.strip(): level.strip() for name, _, level in (line.partition(": ") for line in lines) if level}

    async def _json(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        try:
            found = orjson.loads(await self._ask("GET", path, query))
        except ValueError as error:
            raise AdminError(f"envoy admin {path}: not JSON") from error
        return found if isinstance(found, dict) else {}

    async def _ask(self, method: str, path: str, query: dict[str, str] | None = None) -> str:
        if self._session is None:
            connector = aiohttp.UnixConnector(str(self._where)) if isinstance(self._where, Path) else None
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        host = "envoy" if isinstance(self._where, Path) else self._where
        try:
            async with self._session.request(method, f"http://{host}{path}", params=query or None) as answer:
                text = await answer.text(errors="replace")
                if answer.status != 200:
                    raise AdminError(f"envoy admin {path}: {answer.status} {text[:200]}")
                return text
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise AdminError(f"envoy admin {path}: {error or type(error).__name__}") from error


def _address(document: dict[str, Any]) -> str:
    socket = document.get("socket_address", {})
    return f"{socket.get('address', '')}:{socket.get('port_value', '')}" if socket else ""
