"""The numbers of a node: those of all generations of its Envoy merged, and the agent's own gauges beside them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from plait.app.agent_status import Connection
from plait.app.configuration import Configuration
from plait.node.machine import Capture
from plait.proxy.admin import Admin, AdminError
from plait.proxy.merging import Ended
from plait.proxy.supervise import Supervisor


class AgentMetrics:
    """`ended` takes the last page of each Envoy that ends, `lost` counts those that ended unasked."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.ended = Ended()
        self.lost = Counter("plait_agent_envoy_ended", "How often Envoy ended unasked", registry=self.registry)

    def watch(
        self,
        config: Configuration,
        states: Callable[[], Mapping[str, Capture]],
        connection: Callable[[], Connection],
    ) -> None:
        """Gauges of what the agent's parts say whenever somebody asks."""
        self._gauge(
            "captured_pods",
            "Pods captured and verified on this node",
            lambda: sum(state.captured for state in states().values()),
        )
        self._gauge("connections_cut", "Open connections cut because a policy changed", lambda: config.enforcement.cut)
        self._gauge("refused_resources", "Resources that Envoy does not take", lambda: len(config.refusals()))
        self._gauge("control_plane_connected", "1 while the workload stream is up", lambda: connection().connected)

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(f"plait_agent_{name}", text, registry=self.registry).set_function(value)

    async def page(self, admin: Admin, supervisor: Supervisor) -> str:
        """Envoy's, of all its generations."""
        current = await admin.prometheus()
        for each in supervisor.retired.generations:
            with contextlib.suppress(AdminError):
                await each.measure()
        return self.ended.merged(current, [each.page for each in supervisor.retired.generations])
