"""istio.io/use-waypoint -> which Gateway stands before a service or pod. Its own label wins over its namespace's.

A waypoint that does not exist stays bound and is a problem: what it must enforce is refused meanwhile, not skipped.
One of another namespace binds nobody unless it allows that.
"""

from __future__ import annotations

from collections.abc import Mapping

from plait.base.wellknown import HBONE_PORT, INGRESS_WAYPOINT, USE_WAYPOINT
from plait.model.binding import wanted_waypoint
from plait.model.compile.rule_values import true
from plait.model.compile.traffic.gateway_api.listeners import chosen
from plait.model.compile.traffic.report import WAYPOINT
from plait.model.gateways import Gateway
from plait.resources.gateway_api import gateway as gateway_api
from plait.resources.kubernetes import Namespace
from plait.resources.problems import Problem

_DEFAULT = gateway_api.AllowedRoutes()


class Waypoints:
    def __init__(
        self,
        namespaces: Mapping[tuple[str, str], Namespace],
        written: Mapping[tuple[str, str], gateway_api.Gateway],
        gateways: Mapping[str, Gateway],
        problems: list[Problem],
    ) -> None:
        """`written` are the Gateways that `gateways` came of: they say whose services may stand behind them."""
        self._namespaces, self._written = namespaces, written
        self._gateways, self._problems = gateways, problems

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
        whose = (kind, namespace, name) if own else ("Namespace", "", namespace)
        if waypoint is None or not waypoint.waypoint:
            if own or kind != "Pod":
                text = f"waypoint {named} does not exist; create it (plait waypoint apply) or drop the label"
                self._say(whose, text)
            return named if "service" in wanted or own else ""
        if waypoint.waypoint_for not in wanted:
            return ""
        if not self._lets_in(waypoint, namespace):
            text = f"waypoint {named} serves no other namespaces, so nobody goes through it; set allowedRoutes of its"
            self._say(whose, f"{text} listener of port {HBONE_PORT}, or drop the label")
            return ""
        return named

    def _lets_in(self, waypoint: Gateway, namespace: str) -> bool:
        found = self._written.get((waypoint.namespace, waypoint.name))
        listeners = found.spec.listeners if found is not None else ()
        allowed = next((x.allowed_routes for x in listeners if (x.protocol, x.port) == ("HBONE", HBONE_PORT)), _DEFAULT)
        said = allowed.namespaces
        return chosen(said.from_, said.selector, waypoint.namespace, namespace, self._namespaces)

    def _say(self, whose: tuple[str, str, str], text: str) -> None:
        self._problems.append(Problem(WAYPOINT, "error", *whose, f"metadata.labels[{USE_WAYPOINT}]", text))
