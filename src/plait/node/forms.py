"""The two forms of capture behind one face: what the driver asks of either, and the in-pod form.

A form changes the network of one pod (or of the node for it) and says what it finds; when to do what is the driver's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from plait.base.wellknown import DNS_CAPTURE_PORT, HBONE_PORT, INBOUND_PLAINTEXT_PORT, OUTBOUND_PORT
from plait.model.views.datagrams import OPEN, Datagrams
from plait.node import netfilter, probe, routing, rules
from plait.node.rules import Family, Rules

PORTS = frozenset({OUTBOUND_PORT, INBOUND_PLAINTEXT_PORT, HBONE_PORT})
_OWN_NAMESPACE = Path("/proc/self/ns/net")


@dataclass(frozen=True, slots=True)
class Target:
    """One pod of this node with its namespace and its addresses, one a family, the first being its own `podIP`.

    `dns`: what it asks of nameservers is captured too.
    """

    uid: str
    namespace: str
    name: str
    service_account: str
    netns: Path
    addresses: tuple[str, ...]
    dns: bool = False

    @property
    def address(self) -> str:
        return self.addresses[0]

    @property
    def families(self) -> tuple[Family, ...]:
        """What its capture takes; a family of which the pod has no address is shut."""
        return rules.families(self.addresses)

    @property
    def shut(self) -> tuple[Family, ...]:
        return tuple(family for family in rules.FAMILIES if family not in self.families)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Form(Protocol):
    """How packets of a pod are brought to the proxy. Every method may be repeated."""

    async def left_behind(self, target: Target) -> bool:
        """Did a former agent capture this pod?"""
        ...

    async def redirect(self, target: Target) -> None: ...

    async def release(self, target: Target) -> None:
        """New connections go their own way, live ones still find the proxy."""
        ...

    async def clean(self, target: Target) -> None: ...

    async def gone(self, target: Target) -> None:
        """The pod ended, its namespace is about to."""
        ...

    async def probe(self, target: Target) -> None:
        """Returns when a real connection of the pod ended at the proxy."""
        ...

    async def listening(self, target: Target) -> bool: ...

    async def intact(self, target: Target) -> bool: ...

    async def captured(self, addresses: Iterable[str]) -> None:
        """These pods are captured, no others: what the node itself needs for it."""
        ...

    def judged(self, uid: str, inbound: Datagrams) -> None:
        """What is not TCP may enter this pod as said, from its next `redirect` or `admit` on."""
        ...

    async def admit(self, target: Target) -> None:
        """Bring the rules of a captured pod in line with what was judged."""
        ...


def ports(target: Target) -> frozenset[int]:
    """Where the node must listen for a pod that is captured."""
    return PORTS | {DNS_CAPTURE_PORT} if target.dns else PORTS


async def seal(space: Path, *shut: Family) -> None:
    """Families of which the mesh knows no address of the pod: what it has of them must be no way around its proxy."""
    for family in shut:
        if family == 4 or await asyncio.to_thread(netfilter.speaks_ipv6, space):
            await netfilter.apply(space, rules.sealed(), family)


async def unseal(space: Path, *shut: Family) -> None:
    for family in shut:
        if family == 4 or await asyncio.to_thread(netfilter.speaks_ipv6, space):
            await netfilter.remove(space, family)


async def sealed(space: Path, *shut: Family) -> bool:
    """Is there no way around by these? Without an IPv6 address that others could reach there is none to look for."""
    for family in shut:
        looked_at = family == 4 or await asyncio.to_thread(netfilter.reachable_ipv6, space)
        if looked_at and not await netfilter.verify(space, rules.sealed(), family):
            return False
    return True


class InPod:
    """Rules and listeners inside each pod's namespace; on the node only the kubelet's probes are exempted.

    `addresses` are the node's own, which no verdict keeps out; `unjudged` holds for pods that nobody has judged.
    """

    def __init__(
        self, node: Path = _OWN_NAMESPACE, addresses: tuple[str, ...] = (), unjudged: Datagrams = OPEN
    ) -> None:
        self._node, self._unjudged = node, unjudged
        self._own: dict[Family, str] = {6 if ":" in address else 4: address for address in addresses}
        self._judged: dict[str, Datagrams] = {}

    def _wanted(self, target: Target, family: Family) -> Rules:
        inbound = self._judged.get(target.uid, self._unjudged)
        return rules.capture(family, dns=target.dns, others=inbound, node=self._own.get(family, ""))

    def judged(self, uid: str, inbound: Datagrams) -> None:
        self._judged[uid] = inbound

    async def admit(self, target: Target) -> None:
        for family in target.families:
            await netfilter.apply(target.netns, self._wanted(target, family), family)

    async def left_behind(self, target: Target) -> bool:
        return rules.present(await netfilter.saved(target.netns, target.families[0]))

    async def redirect(self, target: Target) -> None:
        # Answers first; then tracking, so that from here on every new connection is known from its first packet; then
        # the connections that were begun before, half-open ones too; only then the redirect: nothing is lost.
        await seal(target.netns, *target.shut)
        for family in target.families:
            await asyncio.to_thread(routing.apply, target.netns, rules.PolicyRule(), family)
        if not await self.left_behind(target):
            await netfilter.forget(target.netns)
            for family in target.families:
                await netfilter.apply(target.netns, rules.released(family, dns=target.dns), family)
            await netfilter.adopt(target.netns, target.families)
        await self.admit(target)

    async def release(self, target: Target) -> None:
        for family in target.families:
            await netfilter.apply(target.netns, rules.released(family, dns=target.dns), family)
        await unseal(target.netns, *target.shut)

    async def clean(self, target: Target) -> None:
        await unseal(target.netns, *rules.FAMILIES)
        for family in target.families:
            await asyncio.to_thread(routing.remove, target.netns, rules.PolicyRule(), family)

    async def gone(self, target: Target) -> None:
        self._judged.pop(target.uid, None)  # its rules go with its namespace

    async def probe(self, target: Target) -> None:
        for family in target.families:
            await probe.outbound(target.netns, family)
            if target.dns:
                await probe.names(target.netns, family)

    async def listening(self, target: Target) -> bool:
        return await asyncio.to_thread(netfilter.listening, target.netns) >= ports(target)

    async def intact(self, target: Target) -> bool:
        for family in target.families:
            if not (
                await netfilter.verify(target.netns, self._wanted(target, family), family)
                and await asyncio.to_thread(routing.verify, target.netns, rules.PolicyRule(), family)
            ):
                return False
        return await sealed(target.netns, *target.shut)

    async def captured(self, addresses: Iterable[str]) -> None:
        """The kubelet's probes of captured pods pass also under STRICT."""
        named = frozenset(addresses)
        for family in rules.FAMILIES if 6 in self._own else rules.FAMILIES[:1]:
            own = [address for address in named if (":" in address) == (family == 6)]
            await netfilter.apply(self._node, rules.node(own, family) if own else rules.NONE, family)
