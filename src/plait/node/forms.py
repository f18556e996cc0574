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
from plait.node.rules import Rules

PORTS = frozenset({OUTBOUND_PORT, INBOUND_PLAINTEXT_PORT, HBONE_PORT})
_OWN_NAMESPACE = Path("/proc/self/ns/net")


@dataclass(frozen=True, slots=True)
class Target:
    """One pod of this node with its namespace and first address. `dns`: what it asks of nameservers is captured too."""

    uid: str
    namespace: str
    name: str
    service_account: str
    netns: Path
    address: str
    dns: bool = False

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


async def seal(space: Path) -> None:
    """Capture knows IPv4 only: the pod's IPv6 must not be a way around it."""
    if await asyncio.to_thread(netfilter.speaks_ipv6, space):
        await netfilter.apply(space, rules.sealed(), 6)


async def unseal(space: Path) -> None:
    if await asyncio.to_thread(netfilter.speaks_ipv6, space):
        await netfilter.remove(space, 6)


async def sealed(space: Path) -> bool:
    """Is there no way around by IPv6? Without an address that others could reach there is none to look for."""
    return not await asyncio.to_thread(netfilter.reachable_ipv6, space) or await netfilter.verify(
        space, rules.sealed(), 6
    )


class InPod:
    """Rules and listeners inside each pod's namespace; on the node only the kubelet's probes are exempted.

    `address` is the node's own, which no verdict keeps out; `unjudged` holds for pods that nobody has judged.
    """

    def __init__(self, node: Path = _OWN_NAMESPACE, address: str = "", unjudged: Datagrams = OPEN) -> None:
        self._node, self._address, self._unjudged = node, address, unjudged
        self._judged: dict[str, Datagrams] = {}

    def _wanted(self, target: Target) -> Rules:
        inbound = self._judged.get(target.uid, self._unjudged)
        return rules.capture(dns=target.dns, others=inbound, node=self._address)

    def judged(self, uid: str, inbound: Datagrams) -> None:
        self._judged[uid] = inbound

    async def admit(self, target: Target) -> None:
        await netfilter.apply(target.netns, self._wanted(target))

    async def left_behind(self, target: Target) -> bool:
        return rules.present(await netfilter.saved(target.netns))

    async def redirect(self, target: Target) -> None:
        # Answers first; then tracking, so that from here on every new connection is known from its first packet; then
        # the connections that were begun before, half-open ones too; only then the redirect: nothing is lost.
        await seal(target.netns)
        await asyncio.to_thread(routing.apply, target.netns, rules.PolicyRule())
        if not rules.present(await netfilter.saved(target.netns)):
            await netfilter.forget(target.netns)
            await netfilter.apply(target.netns, rules.released(dns=target.dns))
            await netfilter.adopt(target.netns)
        await netfilter.apply(target.netns, self._wanted(target))

    async def release(self, target: Target) -> None:
        await netfilter.apply(target.netns, rules.released(dns=target.dns))
        await unseal(target.netns)

    async def clean(self, target: Target) -> None:
        await netfilter.remove(target.netns)
        await unseal(target.netns)
        await asyncio.to_thread(routing.remove, target.netns, rules.PolicyRule())

    async def gone(self, target: Target) -> None:
        self._judged.pop(target.uid, None)  # its rules go with its namespace

    async def probe(self, target: Target) -> None:
        await probe.outbound(target.netns)
        if target.dns:
            await probe.names(target.netns)

    async def listening(self, target: Target) -> bool:
        wanted = PORTS | {DNS_CAPTURE_PORT} if target.dns else PORTS
        return await asyncio.to_thread(netfilter.listening, target.netns) >= wanted

    async def intact(self, target: Target) -> bool:
        return (
            await netfilter.verify(target.netns, self._wanted(target))
            and await asyncio.to_thread(routing.verify, target.netns, rules.PolicyRule())
            and await sealed(target.netns)
        )

    async def captured(self, addresses: Iterable[str]) -> None:
        """The kubelet's probes of captured pods pass also under STRICT."""
        named = frozenset(addresses)
        await netfilter.apply(self._node, rules.node(named) if named else rules.NONE)
