"""Routes that are left to a waypoint, so that each acts once.

A VirtualService may be bound to a gateway and to the mesh, or name several hosts; an HTTPRoute may be attached to a
Gateway and to a Service. Where the planner names the waypoint for what is sent to that service, the waypoint applies
the very rule that the first proxy has matched: header changes, rewrites, faults, canary shares and mirrors would happen
a second time. Then the first proxy only takes the request there. What the waypoint cannot find again (a match of this
gateway only, of its port, by claims of a token) acts where it is found. (Istio applies both, and sends a gateway's
requests to a waypoint only where asked to.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from plait.model.http_services import HttpService
from plait.model.routes import (
    Destination,
    Forward,
    Match,
    Retry,
    Route,
    Routing,
    TcpMatch,
    TcpRoute,
    TlsMatch,
    TlsRoute,
)
from plait.model.views.resolve import Resolver

UNREACHED = Retry(on=("connect-failure", "refused-stream"))
"""Of what the waypoint never saw. Everything else is tried again, or not, by the rule: at the waypoint."""


def at_waypoint(match: Match | TcpMatch | TlsMatch, port: int) -> bool:
    """Whether a match of a VirtualService may hold at a waypoint, for this port of the service. It serves all clients:
    who the client is, it learns from the connection (namespace), not from labels or addresses."""
    bound = not match.gateways or "mesh" in match.gateways
    known = not (match.source_labels or (isinstance(match, TcpMatch) and match.sources))
    return bound and match.port in (0, port) and known


def leaving(routing: Routing, routes: Iterable[Route], resolver: Resolver, port: int) -> Iterator[Route]:
    """Routes of one object as this proxy has them at a port: those that a waypoint applies only forward to it."""
    for route in routes:
        if not isinstance(route.action, Forward):
            yield route  # it is answered here, and goes nowhere
            continue
        there = _entrance(route.action.destinations, routing, resolver, port, http=True)
        matches = route.matches or (Match(),)
        left = tuple(m for m in matches if _found_again(m, there.port)) if there is not None else ()
        if there is None or not left:
            yield route
            continue
        found = left if route.matches else ()
        yield Route(route.name, found, Forward((there,)), retry=UNREACHED, source=route.source)
        if own := tuple(m for m in matches if m not in left):
            yield msgspec.structs.replace(route, matches=own)


def connections(route: TcpRoute | TlsRoute, routing: Routing, resolver: Resolver, port: int) -> tuple[Destination, ...]:
    """Where this proxy sends the connections that the rule takes."""
    there = _entrance(route.destinations, routing, resolver, port, http=False)
    if there is None or (route.matches and not any(at_waypoint(m, there.port) for m in route.matches)):
        return route.destinations
    return (there,)


def _entrance(
    ends: Iterable[Destination], routing: Routing, resolver: Resolver, port: int, *, http: bool
) -> Destination | None:
    """The service whose waypoint acts by this routing, and the port to send to."""
    if resolver.scope.proxy.role == "waypoint" or all(parent.kind == "gateway" for parent in routing.parents):
        return None
    for each in ends:
        service = resolver.scope.service(each.hostname, each.namespace)
        if each.broken or service is None:
            continue
        number = each.port or (service.ports[0].number if len(service.ports) == 1 else port)
        known = service.port(number)
        reads = known is not None and (known.http or known.protocol == "auto" if http else known.protocol != "udp")
        if reads and _acts(routing, service, number, resolver, http=http):
            return Destination(service.hostname, number, namespace=service.namespace)
    return None


def _acts(routing: Routing, service: HttpService, port: int, resolver: Resolver, *, http: bool) -> bool:
    """Whether the service's waypoint does by this routing what it does for this proxy."""
    if not resolver.through_waypoint(service):
        return False
    scope = resolver.scope
    attached = scope.attached(service, port) if http else scope.connecting(service, port)
    if attached:
        return any(each is routing for each in attached)
    return scope.routing(service.hostname, service.waypoint.partition("/")[0], http=http) is routing


def _found_again(match: Match, port: int) -> bool:
    """Whether the waypoint sees of a request what this match asks for."""
    return at_waypoint(match, port) and not match.claims and match.scheme is None
