"""A node's streams to the control plane: its own workload stream, and one in the name of each L7 proxy it serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import grpc

from plait.app.agent_status import Connection
from plait.app.place import Place
from plait.app.trusting import ROOTS
from plait.base import aio
from plait.base.observe import logger
from plait.wds import messages as wds
from plait.xds.client import Applied, Client, OnDelta
from plait.xds.messages import Node

_log = logger("agent")


class Uplink:
    """`roots` (PEM) must be set before the first stream. `connection` says how the workload stream is."""

    def __init__(self, place: Place, token: Callable[[], Awaitable[str]]) -> None:
        self._place, self._token = place, token
        self.roots = b""
        self.connection = Connection(False, aio.now(), "not tried yet")

    def workloads(self, on_delta: OnDelta, applied: Applied) -> Client:
        """The node's own: the mesh's root, workloads and services, policies."""
        place = self._place
        meta = {"NAME": f"ztunnel-{place.node}", "NAMESPACE": "istio-system", "NODE_NAME": place.node}
        return Client(
            place.authority,
            Node(place.proxy_id, "ztunnel", meta),
            (ROOTS, wds.ADDRESS_TYPE, wds.AUTHORIZATION_TYPE),
            on_delta,
            credentials=grpc.ssl_channel_credentials(self.roots),
            metadata=self._credentials,
            on_state=self._changed,
            applied=applied,
        )

    def proxy(self, node_id: str, types: tuple[str, ...], on_delta: OnDelta, applied: Applied) -> Client:
        """In the name of an L7 proxy beside the agent."""
        return Client(
            self._place.authority,
            Node(node_id, "proxy", {"NODE_NAME": self._place.node}),
            types,
            on_delta,
            credentials=grpc.ssl_channel_credentials(self.roots),
            metadata=self._credentials,
            explicit=True,
            applied=applied,
        )

    async def _credentials(self) -> Sequence[tuple[str, str]]:
        bearer = f"Bearer {await self._token()}"
        return (("authorization", bearer), ("clusterid", self._place.settings.cluster_id))

    def _changed(self, connected: bool, why: str) -> None:
        before = self.connection
        since = aio.now() if connected != before.connected else before.since
        self.connection = Connection(connected, since, why)
        if (connected, why) != (before.connected, before.why):
            _log.info("control plane", connected=connected, reason=why)
