"""istio.io/use-waypoint -> which Gateway stands before a service or pod. Its own label wins over its namespace's.

A waypoint that does not exist stays bound and is a problem: what it must enforce is refused meanwhile, not skipped.
"""

from __future__ import annotations

from collections.abc import Mapping

from plait.base.wellknown import INGRESS_WAYPOINT, USE_WAYPOINT
from plait.model.binding import wanted_waypoint
from plait.model.compile.rule_values import true
from plait.model.compile.traffic.report import WAYPOINT
from plait.model.gateways import Gateway
from plait.resources.kubernetes import Namespace
from plait.resources.problems import Problem


class Waypoints:
    def __init__(
        self,
        namespaces: Mapping[tuple[str, str], Namespace],
        gateways: Mapping[str, Gateway],
        problems: list[Problem],
    ) -> None:
        self._namespaces, self._gateways, self._problems = namespaces, gateways, problems

    def of_service(self, kind: str, namespace: str, name: str, labels: Mapping[str, str]) -> str:
        """Gateway "ns/name" before this service; "" none. A gateway's own service has none: it would be its own."""
        return self._bound(kind, namespace, name, labels, ("service", "all"))

    def of_pod(self, namespace: str, name: str, labels: Mapping[str, str]) -> str:
        """Gateway "ns/name" before this pod's own address; "" none. Gateways' own pods have none."""
        return self._bound("Pod", namespace, name, labels, ("workload", "all"))

    def of_ingress(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether gateways are to send through the waypoint: as the service's label says, else its namespace's."""
        found = self._namespaces.get(("", namespace))
        inherited = found.meta.labels.get(INGRESS_WAYPOINT, "") if found is not None else ""
        return true(labels.get(INGRESS_WAYPOINT, inherited))

    def _bound(self, kind: str, namespace: str, name: str, labels: Mapping[str, str], wanted: tuple[str, ...]) -> str:
        own = USE_WAYPOINT in labels
        found = self._namespaces.get(("", namespace))
        named = wanted_waypoint(namespace, labels, found.meta.labels if found is not None else {})
        if not named:
            return ""
        waypoint = self._gateways.get(f"gateway-api/{named}")
        if waypoint is None or not waypoint.waypoint:
            if own or kind != "Pod":
                text = f"waypoint {named} does not exist; create it (plait waypoint apply) or drop the label"
                self._problems.append(
                    Problem(
                        WAYPOINT,
                        "error",
                        kind if own else "Namespace",
                        namespace if own else "",
                        name if own else namespace,
                        f"metadata.labels[{USE_WAYPOINT}]",
                        text,
                    )
                )
            return named if "service" in wanted or own else ""
        return named if waypoint.waypoint_for in wanted else ""
