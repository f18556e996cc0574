"""The kubelet's door to capture: called when a pod's namespace is up and before it goes.

`attached` returns when the pod's containers may start. A pod that should be in the mesh and is not captured in time
gets NotStarted: it does not run uncaptured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plait.node.driver import Driver

HOLD = 30.0  # seconds; then the kubelet reports the reason and tries again


class CaptureHook:
    """Fits the local kubelet's PodNetworkHook."""

    def __init__(self, driver: Driver, hold: float = HOLD) -> None:
        self._driver, self._hold = driver, hold

    async def attached(self, pod: dict[str, Any], netns: Path, address: str) -> None:
        await self._driver.attach(pod, netns, address, self._hold)

    async def detaching(self, pod: dict[str, Any], netns: Path) -> None:
        await self._driver.detach(pod["metadata"]["uid"])
