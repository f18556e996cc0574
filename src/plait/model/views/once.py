"""Routes that a gateway leaves to a waypoint, so that each acts once.

A VirtualService may be bound to a gateway and to the mesh, an HTTPRoute to a Gateway and a Service. Where the planner
names the waypoint for what a gateway sends to that service, the waypoint applies the very rule that the gateway has
matched: header changes, rewrites, faults, canary shares and mirrors would happen a second time. Then the gateway only
takes the request there. (Istio applies both, and sends a gateway's requests to a waypoint only where asked to.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from plait.model.http_services import HttpService
from plait.model.routes import Destination, Forward, Match, Route, Routing
from plait.model.views.resolve import Resolver

MESH = "mesh"


def leaving(routing: Routing, routes: Iterable[Route], resolver: Resolver, port: int) -> Iterator[Route]:
    """Routes of one object at a gateway's port: those that a waypoint applies only forward to it."""
    for route in routes:
        there = _entry(routing, route, resolver, port)
        if there is None:
            yield route
        else:
            yield Route(route.name, route.matches, Forward((there,)), source=route.source)


def _entry(routing: Routing, route: Route, resolver: Resolver, port: int) -> Destination | None:
    """The service among the destinations whose waypoint applies this route to what comes for it."""
    if not isinstance(route.action, Forward):
        return None  # it is answered here, and goes nowhere
    for each in route.action.destinations:
        service = resolver.scope.service(each.hostname, each.namespace)
        if each.broken or service is None or not resolver.through_waypoint(service):
            continue
        number = each.port or (service.ports[0].number if len(service.ports) == 1 else port)
        if _applies(routing, service, number, resolver) and all(_holds(match, number) for match in route.matches):
            return Destination(each.hostname, number, namespace=each.namespace)
    return None


def _applies(routing: Routing, service: HttpService, port: int, resolver: Resolver) -> bool:
    produced = resolver.scope.produced(service, port)
    if any(each.http for each in produced):
        return routing in produced
    return resolver.scope.routing(service.hostname, service.waypoint.partition("/")[0]) is routing


def _holds(match: Match, port: int) -> bool:
    """Whether a request that has this match at the gateway has it at the waypoint."""
    in_mesh = not match.gateways or MESH in match.gateways
    return in_mesh and match.port in (0, port) and not (match.source_labels or match.source_namespace or match.claims)
