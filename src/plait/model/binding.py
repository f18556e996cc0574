"""What a service that names a waypoint says of it: bound, not there, not reachable yet, or made for other traffic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from plait.base.wellknown import GATEWAY_NAME, USE_WAYPOINT, USE_WAYPOINT_NAMESPACE
from plait.model.gateways import Gateway
from plait.model.http_services import HttpService
from plait.model.mesh import Service
from plait.model.status import BoundStatus, Condition

CONDITION = "istio.io/WaypointBound"
Name = tuple[str, str, str]  # kind, namespace, name
_NOBODY: Mapping[str, str] = {}


def bound(
    services: Iterable[HttpService],
    gateways: Mapping[str, Gateway],
    told: Mapping[str, Service],
    namespaces: Mapping[str, Mapping[str, str]],
    leaving: Mapping[str, str] = _NOBODY,
) -> Mapping[Name, BoundStatus]:
    """By object, of every service that wants a waypoint. `told` is what node proxies hear; `namespaces` are labels.
    `leaving`: waypoints ("" none) that services had, while not every proxy has acknowledged that they have another way.

    An object with several hosts says the worst of them.
    """
    found: dict[Name, BoundStatus] = {}
    for each in services:
        wanted = wanted_waypoint(each.namespace, dict(each.labels), namespaces.get(each.namespace, {}))
        before = leaving.get(each.key)
        if not wanted and not before:
            continue
        name = each.kind, each.namespace, each.name
        if not wanted:
            condition = Condition(CONDITION, "True", "ClientsAreBeingTold", f"clients may still pass waypoint {before}")
        else:
            bound_to = each.waypoint
            condition = _condition(wanted, bound_to, gateways.get(f"gateway-api/{wanted}"), told.get(each.key))
            if condition.status == "True" and before is not None:
                text = f"not every proxy has acknowledged that requests pass waypoint {wanted}"
                condition = Condition(CONDITION, "False", "ClientsAreBeingTold", text)
        if name not in found or condition.status == "False":
            found[name] = BoundStatus((condition,))
    return found


def wanted_waypoint(namespace: str, own: Mapping[str, str], inherited: Mapping[str, str]) -> str:
    """Gateway "ns/name" that the labels of an object, else those of its namespace, name; "" none."""
    if GATEWAY_NAME in own:  # a gateway's own service: it would stand before itself
        return ""
    source = own if USE_WAYPOINT in own else inherited
    name = source.get(USE_WAYPOINT, "none")
    return "" if name in ("", "none") else f"{source.get(USE_WAYPOINT_NAMESPACE, namespace)}/{name}"


def _condition(wanted: str, bound_to: str, gateway: Gateway | None, told: Service | None) -> Condition:
    if gateway is None or not gateway.waypoint:
        text = f"there is no waypoint {wanted}; create it or drop the label {USE_WAYPOINT}"
        return Condition(CONDITION, "False", "WaypointMissing", text)
    if gateway.waypoint_for not in ("service", "all"):
        text = f"waypoint {wanted} serves {gateway.waypoint_for}, not services; change its label istio.io/waypoint-for"
        return Condition(CONDITION, "False", "UnsupportedTrafficType", text)
    if not bound_to:
        text = f"waypoint {wanted} serves no services of other namespaces; set allowedRoutes of its listener"
        return Condition(CONDITION, "False", "AttachmentDenied", text)
    if told is None or told.waypoint is None:
        return Condition(CONDITION, "False", "WaypointIsNotReady", f"waypoint {wanted} has no address yet")
    return Condition(CONDITION, "True", "WaypointAccepted", f"bound to waypoint {wanted}")
