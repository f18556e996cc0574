"""Capture of pods with a sidecar: rules before the first container starts, looked after while the pod lives.

The pod's namespace goes with it, so nothing is ever taken out there. On the node the kubelet's probes of these pods get
the probe address, as those of ambient pods do: what the application sees and answers stays as it was written, for every
kind of probe, which rewriting HTTP probes could not say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from plait.base.observe import logger
from plait.node import forms, netfilter, routing, rules, sidecar_rules
from plait.node.rules import Family, PolicyRule, Rules
from plait.resources.injection import has_sidecar
from plait.resources.redirection import MODE, redirection

_log = logger("sidecar")
_EVERY = 3.0  # seconds between two looks
_OWN_NAMESPACE = Path("/proc/self/ns/net")
_PREFIX: Final = "SIDECAR_"  # of chains in the node's namespace: those of ambient capture are ISTIO_…


class Uncapturable(Exception):
    """This node cannot capture a pod for its sidecar; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class _Captured:
    name: str
    netns: Path
    addresses: tuple[str, ...]
    route: PolicyRule | None
    rules: Mapping[Family, Rules]

    async def enforce(self) -> bool:
        """True when something had to change."""
        changed = False
        for family, wanted in self.rules.items():
            if self.route is not None:
                changed |= await asyncio.to_thread(routing.apply, self.netns, self.route, family)
            changed |= await netfilter.apply(self.netns, wanted, family)
        if not await forms.sealed(self.netns, *self.shut):
            await forms.seal(self.netns, *self.shut)
            changed = True
        return changed

    @property
    def shut(self) -> tuple[Family, ...]:
        """Families of which the pod has no address."""
        return tuple(family for family in rules.FAMILIES if family not in self.rules)

    async def verify(self) -> bool:
        return all([await netfilter.verify(self.netns, wanted, family) for family, wanted in self.rules.items()])


def wanted(pod: Mapping[str, Any]) -> bool:
    """Was a sidecar injected that shares the pod with an application, and is to have its traffic? (An injected gateway
    captures nobody.)"""
    annotations = pod["metadata"].get("annotations") or {}
    return has_sidecar(annotations) and annotations.get(MODE) != "NONE"


class Sidecars:
    """`attached` when a pod's namespace is up, `detaching` before it goes, `run` for ever.

    `obstacle`: why no pod of this node can be captured; "" when they can.
    """

    def __init__(self, node_namespace: Path = _OWN_NAMESPACE, *, obstacle: str = "", every: float = _EVERY) -> None:
        self._node, self._obstacle, self._every = node_namespace, obstacle, every
        self._pods: dict[str, _Captured] = {}
        self._lock = asyncio.Lock()
        self._dual = False  # were there pods of both families?

    async def attached(self, pod: Mapping[str, Any], netns: Path, addresses: tuple[str, ...]) -> None:
        """Returns when the pod is captured. Uncapturable, BadAnnotation, NetfilterError: it must not start."""
        meta = pod["metadata"]
        name = f"{meta['namespace']}/{meta['name']}"
        if self._obstacle:
            raise Uncapturable(f"pod {name} has a sidecar: {self._obstacle}")
        asked = redirection(meta.get("annotations") or {})
        made = {family: sidecar_rules.capture(asked, family) for family in rules.families(addresses)}
        wanted = _Captured(name, netns, addresses, sidecar_rules.route(asked), made)
        if 6 in made:
            words = ("address", "replace", f"{sidecar_rules.INBOUND_SOURCE6}/128", "dev", "lo", "nodad")
            await netfilter.command(netns, "ip", "-6", *words)
        await forms.seal(netns, *wanted.shut)
        await wanted.enforce()
        if not await wanted.verify():
            text = "its capture rules are not in force after they were written"
            raise Uncapturable(f"pod {name}: {text}; see which other program changes iptables in pods")
        self._pods[meta["uid"]] = wanted
        await self._exempt_probes()

    async def detaching(self, uid: str) -> None:
        if self._pods.pop(uid, None) is not None:
            await self._exempt_probes()

    async def run(self) -> None:
        """Put back what somebody took away."""
        while True:
            await asyncio.sleep(self._every)
            for uid, each in list(self._pods.items()):
                try:
                    if await each.enforce() and uid in self._pods:
                        _log.warning("CaptureRepaired", pod=each.name, detail="rules were changed by someone else")
                except (OSError, netfilter.NetfilterError) as error:
                    if uid in self._pods:
                        _log.warning("could not check the capture", pod=each.name, error=error)
            try:
                await self._exempt_probes()
            except (OSError, netfilter.NetfilterError) as error:
                _log.warning("could not check the node's rules", error=error)

    async def _exempt_probes(self) -> None:
        async with self._lock:
            addresses = frozenset(address for each in self._pods.values() for address in each.addresses)
            self._dual |= any(":" in address for address in addresses)
            for family in rules.FAMILIES if self._dual else rules.FAMILIES[:1]:
                own = [address for address in addresses if (":" in address) == (family == 6)]
                exempted = rules.node(own, family, prefix=_PREFIX) if own else rules.NONE
                await netfilter.apply(self._node, exempted, family, prefix=_PREFIX)
