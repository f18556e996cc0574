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
from plait.base.wellknown import SIDECAR_STATUS, TEMPLATES
from plait.node import netfilter, routing, rules, sidecar_rules
from plait.node.rules import PolicyRule, Rules
from plait.resources.redirection import redirection

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
    address: str
    route: PolicyRule | None
    rules: Rules

    async def enforce(self) -> bool:
        """True when something had to change."""
        routed = self.route is not None and await asyncio.to_thread(routing.apply, self.netns, self.route)
        return await netfilter.apply(self.netns, self.rules) or routed


def wanted(pod: Mapping[str, Any]) -> bool:
    """Was a sidecar injected that shares the pod with an application? (An injected gateway captures nobody.)"""
    annotations = pod["metadata"].get("annotations") or {}
    return SIDECAR_STATUS in annotations and "gateway" not in annotations.get(TEMPLATES, "")


class Sidecars:
    """`attached` when a pod's namespace is up, `detaching` before it goes, `run` for ever.

    `obstacle`: why no pod of this node can be captured; "" when they can.
    """

    def __init__(self, node_namespace: Path = _OWN_NAMESPACE, *, obstacle: str = "", every: float = _EVERY) -> None:
        self._node, self._obstacle, self._every = node_namespace, obstacle, every
        self._pods: dict[str, _Captured] = {}
        self._lock = asyncio.Lock()

    async def attached(self, pod: Mapping[str, Any], netns: Path, address: str) -> None:
        """Returns when the pod is captured. Uncapturable, BadAnnotation, NetfilterError: it must not start."""
        meta = pod["metadata"]
        name = f"{meta['namespace']}/{meta['name']}"
        if self._obstacle:
            raise Uncapturable(f"pod {name} has a sidecar: {self._obstacle}")
        asked = redirection(meta.get("annotations") or {})
        wanted = _Captured(name, netns, address, sidecar_rules.route(asked), sidecar_rules.capture(asked))
        await wanted.enforce()
        if not await netfilter.verify(netns, wanted.rules):
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
            addresses = frozenset(each.address for each in self._pods.values())
            exempted = rules.node(addresses, prefix=_PREFIX) if addresses else rules.NONE
            await netfilter.apply(self._node, exempted, prefix=_PREFIX)
