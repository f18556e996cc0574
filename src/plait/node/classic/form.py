"""The classic form behind the driver's `Form`: one pod more or less in the node's plan, and what is found of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from plait.base import netns
from plait.base.observe import logger
from plait.model.views.datagrams import Datagrams
from plait.node import netfilter, probe
from plait.node.classic.plan import Plan
from plait.node.classic.plumbing import Plumbing
from plait.node.forms import PORTS, Target, seal, sealed, unseal

_log = logger("node")


class Classic:
    """Node-level capture of one node. `start` before the proxy: its namespace is made here."""

    def __init__(self, plumbing: Plumbing, node: str, proxy: str) -> None:
        self._plumbing, self._plan = plumbing, Plan(node, proxy)
        self._lock = asyncio.Lock()
        self._judged: dict[str, Datagrams] = {}  # by UID

    async def start(self) -> None:
        """Links, rules and routes; who a former agent had captured stays captured."""
        async with self._lock:
            self._plan = replace(self._plan, pods=await self._plumbing.addresses())
            await self._plumbing.apply(self._plan)
        _log.info("node-level capture", tunnels=self._plumbing.kind or "kept", pods=len(self._plan.pods))

    async def stop(self) -> None:
        """Take everything out, unless a pod is captured still: without its guard it would go its own way."""
        async with self._lock:
            if not self._plan.pods:
                await self._plumbing.remove()

    async def _hold(self, target: Target, *, captured: bool) -> None:
        address = target.address
        async with self._lock:
            pods = self._plan.pods | {address} if captured else self._plan.pods - {address}
            inbound = {known: said for known, said in self._plan.inbound.items() if known != address}
            if captured and target.uid in self._judged:
                inbound[address] = self._judged[target.uid]
            self._plan = replace(self._plan, pods=pods, inbound=inbound)
            await self._plumbing.apply(self._plan)

    def judged(self, uid: str, inbound: Datagrams) -> None:
        self._judged[uid] = inbound

    async def admit(self, target: Target) -> None:
        await self._hold(target, captured=True)

    async def left_behind(self, target: Target) -> bool:
        return target.address in self._plan.pods

    async def redirect(self, target: Target) -> None:
        await seal(target.netns)
        await self._hold(target, captured=True)

    async def release(self, target: Target) -> None:
        await self._hold(target, captured=False)
        await unseal(target.netns)

    async def clean(self, target: Target) -> None:
        await self._hold(target, captured=False)
        await unseal(target.netns)

    async def gone(self, target: Target) -> None:
        self._judged.pop(target.uid, None)
        if target.address in self._plan.pods:
            await self._hold(target, captured=False)

    async def probe(self, target: Target) -> None:
        await probe.through(target.netns, self._plumbing.proxy)

    async def listening(self, target: Target) -> bool:
        return await asyncio.to_thread(netfilter.listening, self._plumbing.proxy) >= PORTS

    async def intact(self, target: Target) -> bool:
        """Compares and repairs at once: the node's tables are everybody's, so they are not left until a retry."""
        async with self._lock:
            if not netns.exists(self._plumbing.proxy):
                return False
            changed = await self._plumbing.apply(self._plan)
        if changed:
            _log.warning("node-level capture was changed by someone else", repaired=changed)
        return not changed and await sealed(target.netns)

    async def captured(self, addresses: Iterable[str]) -> None:
        """Nothing: probes are exempted by the set itself."""
        return
