"""Capture of pods with a sidecar: rules before the first container starts, looked after while the pod lives.

The namespace goes with the pod, so nothing is ever taken out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plait.base.observe import logger
from plait.base.wellknown import SIDECAR_STATUS
from plait.node import netfilter, sidecar_rules
from plait.node.rules import Rules

_log = logger("sidecar")
_EVERY = 3.0  # seconds between two looks


@dataclass(frozen=True, slots=True)
class _Captured:
    name: str
    netns: Path
    address: str
    rules: Rules


def wanted(pod: Mapping[str, Any]) -> bool:
    """Was a sidecar injected that shares the pod with an application? (An injected gateway captures nobody.)"""
    annotations = pod["metadata"].get("annotations") or {}
    return SIDECAR_STATUS in annotations and "gateway" not in annotations.get("inject.istio.io/templates", "")


class Sidecars:
    """`attached` when a pod's namespace is up, `detaching` before it goes. `changed` hears of other `addresses`."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._pods: dict[str, _Captured] = {}
        self._changed = changed

    @property
    def addresses(self) -> frozenset[str]:
        return frozenset(each.address for each in self._pods.values())

    async def attached(self, pod: Mapping[str, Any], netns: Path, address: str) -> None:
        """Returns when the pod is captured; ValueError for a bad annotation, NetfilterError when rules are refused."""
        meta = pod["metadata"]
        rules = sidecar_rules.capture(sidecar_rules.redirection(meta.get("annotations") or {}))
        await netfilter.apply(netns, rules)
        self._pods[meta["uid"]] = _Captured(f"{meta['namespace']}/{meta['name']}", netns, address, rules)
        self._changed()

    def detaching(self, uid: str) -> None:
        if self._pods.pop(uid, None) is not None:
            self._changed()

    async def run(self) -> None:
        """Put back what somebody took away, for ever."""
        while True:
            await asyncio.sleep(_EVERY)
            for uid, each in list(self._pods.items()):
                try:
                    if await netfilter.apply(each.netns, each.rules):
                        _log.warning("CaptureRepaired", pod=each.name, detail="rules were changed by someone else")
                except (OSError, netfilter.NetfilterError) as error:
                    if uid in self._pods:
                        _log.warning("could not check the capture", pod=each.name, error=error)
