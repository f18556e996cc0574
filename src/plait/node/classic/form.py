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
from plait.node.forms import Target, ports, seal, sealed, unseal

_log = logger("node")


class Classic:
    """Node-level capture of one node. `start` before the proxy: its namespace is made here."""

    def __init__(self, plumbing: Plumbing, nodes: Iterable[str], proxies: Iterable[str]) -> None:
        """Addresses of the node and of its proxy, one a family, IPv4 first."""
        self._plumbing = plumbing
        self._plans = {plan.family: plan for plan in map(Plan, nodes, proxies)}
        self._lock = asyncio.Lock()
        self._judged: dict[str, Datagrams] = {}  # by UID

    async def start(self) -> None:
        """Links, rules and routes; who a former agent had captured stays captured."""
        async with self._lock:
            for family, plan in self._plans.items():
                self._plans[family] = await self._plumbing.resumed(plan)
            await self._plumbing.apply(*self._plans.values())
        _log.info("node-level capture", tunnels=self._plumbing.kind or "kept", pods=len(self._pods()))

    async def stop(self) -> None:
        """Take everything out, unless a pod is captured still: without its guard it would go its own way."""
        async with self._lock:
            if not self._pods():
                await self._plumbing.remove(*self._plans)

    def _pods(self) -> frozenset[str]:
        return frozenset(address for plan in self._plans.values() for address in plan.pods)

    async def _hold(self, target: Target, *, captured: bool) -> None:
        turned: frozenset[str] = frozenset()
        async with self._lock:
            for family, plan in self._plans.items():
                own = {address for address in target.addresses if (":" in address) == (family == 6)}
                inbound = {known: said for known, said in plan.inbound.items() if known not in own}
                if captured and target.uid in self._judged:
                    inbound |= dict.fromkeys(own, self._judged[target.uid])
                pods = plan.pods | own if captured else plan.pods - own
                names = plan.names | own if captured and target.dns else plan.names - own
                turned |= plan.names ^ names
                self._plans[family] = replace(plan, pods=pods, names=names, inbound=inbound)
            await self._plumbing.apply(*self._plans.values())
            if turned:  # what a pod asks from a port that it used before would go on where that led
                await netfilter.forget_questions(self._plumbing.node, turned)

    def judged(self, uid: str, inbound: Datagrams) -> None:
        self._judged[uid] = inbound

    async def admit(self, target: Target) -> None:
        await self._hold(target, captured=True)

    async def left_behind(self, target: Target) -> bool:
        return target.address in self._pods()

    async def redirect(self, target: Target) -> None:
        await seal(target.netns, *target.shut)
        await self._hold(target, captured=True)

    async def release(self, target: Target) -> None:
        await self._hold(target, captured=False)
        await unseal(target.netns, *target.shut)

    async def clean(self, target: Target) -> None:
        await self.release(target)

    async def gone(self, target: Target) -> None:
        self._judged.pop(target.uid, None)
        if target.address in self._pods():
            await self._hold(target, captured=False)

    async def probe(self, target: Target) -> None:
        for family in target.families:
            await probe.through(target.netns, self._plumbing.proxy, family)
            if target.dns:
                await probe.names(target.netns, family)

    async def listening(self, target: Target) -> bool:
        return await asyncio.to_thread(netfilter.listening, self._plumbing.proxy) >= ports(target)

    async def intact(self, target: Target) -> bool:
        """Compares and repairs at once: the node's tables are everybody's, so they are not left until a retry."""
        async with self._lock:
            if not netns.exists(self._plumbing.proxy):
                return False
            changed = await self._plumbing.apply(*self._plans.values())
        if changed:
            _log.warning("node-level capture was changed by someone else", repaired=changed)
        return not changed and await sealed(target.netns, *target.shut)

    async def captured(self, addresses: Iterable[str]) -> None:
        """Nothing: probes are exempted by the set itself."""
        return
