"""The kubelet's door to capture: called when a pod's namespace is up and before it goes.

`attached` returns when the pod's containers may start. A pod that should be in the mesh and is not captured in time
gets NotStarted: it does not run uncaptured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from plait.node.driver import Driver

HOLD = 30.0  # seconds; then the kubelet reports the reason and tries again


class Proxies(Protocol):
    """Who prepares what an L7 proxy in the pod needs before it starts."""

    async def attached(self, pod: dict[str, Any], address: str) -> None: ...

    async def detaching(self, uid: str) -> None: ...


class CaptureHook:
    """Fits the local kubelet's PodNetworkHook."""

    def __init__(self, driver: Driver, hold: float = HOLD, proxies: Proxies | None = None) -> None:
        self._driver, self._hold, self._proxies = driver, hold, proxies

    async def attached(self, pod: dict[str, Any], netns: Path, address: str) -> None:
        if self._proxies is not None:
            await self._proxies.attached(pod, address)
        await self._driver.attach(pod, netns, address, self._hold)

    async def detaching(self, pod: dict[str, Any], netns: Path) -> None:
        await self._driver.detach(pod["metadata"]["uid"])
        if self._proxies is not None:
            await self._proxies.detaching(pod["metadata"]["uid"])
