"""The kubelet's door to capture: called when a pod's namespace is up and before it goes.

`attached` returns when the pod's containers may start. A pod that should be in the mesh and is not captured in time
gets NotStarted: it does not run uncaptured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from plait.node import sidecar
from plait.node.driver import Driver
from plait.node.sidecar import Sidecars

HOLD = 30.0  # seconds; then the kubelet reports the reason and tries again


class Proxies(Protocol):
    """Who prepares what an L7 proxy in the pod needs before it starts."""

    async def attached(self, pod: dict[str, Any], addresses: tuple[str, ...]) -> None: ...

    async def detaching(self, uid: str) -> None: ...


class CaptureHook:
    """Fits the local kubelet's PodNetworkHook."""

    def __init__(
        self, driver: Driver, hold: float = HOLD, proxies: Proxies | None = None, sidecars: Sidecars | None = None
    ) -> None:
        self._driver, self._hold, self._proxies, self._sidecars = driver, hold, proxies, sidecars

    async def attached(self, pod: dict[str, Any], netns: Path, addresses: tuple[str, ...]) -> None:
        """A pod with a sidecar is captured for that; every other one as its labels say."""
        if self._proxies is not None:
            await self._proxies.attached(pod, addresses)
        if self._sidecars is not None and sidecar.wanted(pod):
            await self._sidecars.attached(pod, netns, addresses)
        else:
            await self._driver.attach(pod, netns, addresses, self._hold)

    async def detaching(self, pod: dict[str, Any], netns: Path) -> None:
        uid = pod["metadata"]["uid"]
        await self._driver.detach(uid)
        if self._sidecars is not None:
            await self._sidecars.detaching(uid)
        if self._proxies is not None:
            await self._proxies.detaching(uid)
