"""The proxies of Gateways, joined: the controller that makes them, the activator that holds calls to those that sleep,
and the scaler that chooses how many there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from plait.app.activator import Activator
from plait.app.gateway_controller import GatewayController
from plait.app.gateway_reading import POD_INDEX
from plait.app.loads import Loads
from plait.app.scaler import Scaler
from plait.local.controllers import podset
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import Api, Document
from plait.store.informer import Informer, Key


class Waypoints:
    """`run` it beside the informers it was given. `address`: where connections are held, "" nowhere."""

    def __init__(
        self, api: Api, informers: Mapping[Kind, Informer], folder: str, address: str, root_namespace: str
    ) -> None:
        self._pods, self._nodes = informers[kinds.POD], informers[kinds.NODE]
        self.activator = Activator(address, self._wake, self._addresses)
        self.gateways = GatewayController(api, informers, folder, self.activator if address else None, root_namespace)
        deployments = self.gateways.deployments
        loads = Loads(self._node_address)
        self.scaler = Scaler(
            api, self.gateways.scaled, deployments, self._own, loads, self.activator.busy, self.gateways.warm_first
        )

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            await asyncio.gather(self.gateways.run(), self.scaler.run())
        finally:
            await self.activator.close()

    def _wake(self, key: Key) -> None:
        self.gateways.called(key)
        self.scaler.wake(key)

    def _own(self, key: Key) -> list[Document]:
        """Pods of a Gateway that neither ended nor are going."""
        return [pod for pod in self._pods.indexed(POD_INDEX, "/".join(key)) if podset.is_active(pod)]

    def _addresses(self, key: Key) -> list[str]:
        """Those of its pods, of ready ones first."""
        own = [(podset.is_ready(pod), str((pod.get("status") or {}).get("podIP") or "")) for pod in self._own(key)]
        return [address for _, address in sorted(own, reverse=True) if address]

    def _node_address(self, name: str) -> str:
        node = self._nodes.get(name) or {}
        known = {each["type"]: each["address"] for each in (node.get("status") or {}).get("addresses") or ()}
        return str(known.get("InternalIP", name))
