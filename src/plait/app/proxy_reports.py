"""What a node's agent says of the Envoys it serves: how each stands to what it is told, and what it has. No keys.

A node proxy is `node:NODE`, an L7 proxy `NAMESPACE/POD`. Everything is measured: states are what Envoy acknowledged,
configuration is what its admin socket shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from plait.app.companions import Companions
from plait.diagnose.proxy_config import redacted
from plait.envoy import names
from plait.envoy.l7.bundle import URLS
from plait.proxy.admin import Admin
from plait.xds.cache import Cache
from plait.xds.session import SessionState, TypeState

Document = dict[str, Any]
TYPES = {
    "CDS": names.CLUSTER,
    "LDS": names.LISTENER,
    "EDS": URLS["endpoints"],
    "RDS": names.ROUTE,
    "ECDS": names.EXTENSION,
    "SDS": names.SECRET,
}
"""Istio's short names of the types."""


class UnknownProxy(LookupError):
    """No such Envoy on this node; the text says which there are."""


class ProxyReports:
    def __init__(self, node: str, told: Cache, admin: Admin, companions: Companions) -> None:
        self._node, self._told, self._admin, self._companions = node, told, admin, companions

    async def listed(self) -> list[Document]:
        """Every Envoy of the node."""
        found = [self._row(f"node:{self._node}", "node", self._told)]
        for proxy, _, cache in self._companions.proxies:
            found.append(self._row(f"{proxy.namespace}/{proxy.name}", proxy.role, cache))
        ready = await asyncio.gather(*(self._ready(each["proxy"]) for each in found))
        return [{**each, "ready": good} for each, good in zip(found, ready, strict=True)]

    async def dump(self, proxy: str) -> Document:
        """Its configuration and the endpoints it balances over. UnknownProxy, or AdminError when it does not answer."""
        async with self._asking(proxy) as admin:
            config, clusters = await asyncio.gather(admin.everything(), admin.clusters())
        return {"config": redacted(config), "clusters": clusters}

    async def logging(self, proxy: str, levels: str) -> dict[str, str]:
        """How much each part of it logs, after `levels` (`debug`, or `rbac:debug,jwt:trace`) were set; "" sets none."""
        async with self._asking(proxy) as admin:
            return await admin.logging(**({"paths" if ":" in levels else "level": levels} if levels else {}))

    async def _ready(self, proxy: str) -> bool:
        async with self._asking(proxy) as admin:
            return await admin.ready()

    @asynccontextmanager
    async def _asking(self, proxy: str) -> AsyncIterator[Admin]:
        if proxy == f"node:{self._node}":
            yield self._admin
            return
        folders = {f"{each.namespace}/{each.name}": folder for each, folder, _ in self._companions.proxies}
        if proxy not in folders:
            there = ", ".join((f"node:{self._node}", *sorted(folders)))
            raise UnknownProxy(f"no proxy {proxy} on {self._node}; there is {there}")
        admin = Admin(folders[proxy] / "admin.sock")
        try:
            yield admin
        finally:
            await admin.close()

    def _row(self, proxy: str, role: str, cache: Cache) -> Document:
        sessions = [each for each in cache.statistics() if isinstance(each, SessionState)]
        connected = bool(sessions)
        return {
            "proxy": proxy,
            "role": role,
            "node": self._node,
            "connected": connected,
            "types": {
                short: _standing([s.types.get(url) for s in sessions], cache, url) for short, url in TYPES.items()
            },
        }


def _standing(states: list[TypeState | None], cache: Cache, url: str) -> Document:
    """Istio's words: SYNCED, STALE (sent, not answered), NOT SENT, IGNORED (never asked for), and REFUSED."""
    known = [state for state in states if state is not None]
    refused = {
        name: " ".join(reason.split())
        for state in known
        for name, reason in state.refused.items()
        if cache.find(url, name) is not None
    }
    if refused:
        word = "REFUSED"
    elif not known:
        word = "IGNORED"
    elif any(state.waiting for state in known):
        word = "STALE"
    else:
        word = "SYNCED" if any(state.acknowledged for state in known) else "NOT SENT"
    return {"state": word, "resources": len(cache.of(url)), "refused": refused}
