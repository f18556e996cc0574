"""What the waypoints of a node carry: the agent asks each Envoy beside it, the control plane asks agents."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from plait.app import usages
from plait.app.companions import Companions
from plait.base import aio
from plait.base.observe import logger
from plait.base.wellknown import METRICS_PORT
from plait.deploy.scaling import Report
from plait.proxy.admin import Admin, AdminError

PATH = "/proxies"
_log = logger("loads")
_COUNTED = r"^http\.(inbound-.*|connect_terminate)\.downstream_(rq_total|rq_active|cx_active)$"
_TIMED = r"^http\.inbound-.*\.downstream_rq_time$"
_HTTP = re.compile(r"^http\.inbound-.*\.downstream_(rq_total|rq_active|cx_active)$")
_OPEN, _OPENED = (f"http.connect_terminate.downstream_rq_{word}" for word in ("active", "total"))
_PATIENCE = 2.0


async def measured(companions: Companions) -> dict[str, Any]:
    """Reports by "namespace/pod" of every waypoint of this node that answers."""
    own = [(proxy, folder) for proxy, folder, _ in companions.proxies if proxy.role == "waypoint"]
    found = await asyncio.gather(*(_report(folder / "admin.sock") for _, folder in own))
    return {
        f"{proxy.namespace}/{proxy.name}": msgspec.to_builtins(report)
        for (proxy, _), report in zip(own, found, strict=True)
        if report is not None
    }


async def _report(where: Path) -> Report | None:
    """None: it is starting, or ending."""
    admin = Admin(where, timeout=_PATIENCE)
    try:
        counted = await admin.stats(_COUNTED)
        times = await admin.histograms(_TIMED)
        cpu = await asyncio.to_thread(_cpu, where)
    except (AdminError, OSError):
        return None
    finally:
        await admin.close()
    requests, under_way = used(counted)
    return Report(aio.now(), requests, under_way, cpu, _merged(times))


def used(counted: Mapping[str, int]) -> tuple[int, int]:
    """How many requests there were, and how many are under way. What is no HTTP is one for each tunnel.

    A tunnel that carries an HTTP connection on which nothing is asked is not in use: clients keep such ones for long.
    """
    http = {"rq_total": 0, "rq_active": 0, "cx_active": 0}
    for name, value in counted.items():
        if found := _HTTP.match(name):
            http[found[1]] += value
    bytes_only = max(0, counted.get(_OPEN, 0) - http["cx_active"])
    return max(http["rq_total"], counted.get(_OPENED, 0)), http["rq_active"] + bytes_only


def _merged(times: Iterable[tuple[tuple[float, int], ...]]) -> tuple[tuple[float, int], ...]:
    took: dict[float, int] = {}
    for each in times:
        for bound, count in each:
            took[bound] = took.get(bound, 0) + count
    return tuple(sorted(took.items()))


def _cpu(where: Path) -> float:
    """Seconds that the process listening there has used."""
    return usages.cpu(usages.process(where))


class Loads:
    """Asks agents; `close` when done."""

    def __init__(self, node_address: Callable[[str], str]) -> None:
        self._address = node_address
        self._session: aiohttp.ClientSession | None = None

    async def of(self, nodes: Iterable[str]) -> dict[str, Report]:
        """Of every waypoint on these nodes, by "namespace/pod"; a node that does not answer is left out."""
        found: dict[str, Report] = {}
        for each in await asyncio.gather(*map(self._ask, nodes)):
            found.update(each)
        return found

    async def _ask(self, node: str) -> dict[str, Report]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PATIENCE))
        try:
            address = self._address(node)
            host = f"[{address}]" if ":" in address else address
            async with self._session.get(f"http://{host}:{METRICS_PORT}{PATH}") as answer:
                return msgspec.json.decode(await answer.read(), type=dict[str, Report])
        except (TimeoutError, OSError, aiohttp.ClientError, msgspec.MsgspecError) as error:
            _log.debug("no loads", node=node, error=repr(error))
            return {}

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
