"""Routings -> VirtualHosts for one proxy: matches that cannot hold here dropped, precedence, destinations resolved."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec

from plait.model.attachment import carries
from plait.model.hostnames import fits
from plait.model.http_services import HttpService
from plait.model.proxies import Proxy
from plait.model.routes import Destination, Forward, Match, Redirect, Respond, Route, Routing, VirtualHost
from plait.model.views import once
from plait.model.views.resolve import Resolver
from plait.model.views.scope import Scope

NOT_FOUND = Respond(404)
"""The Gateway API's answer to a request none of a host's routes takes."""
_ANY_PATH = (("prefix", "/"), ("segments", "/"), ("regex", ".*"))
_PATHS = {"exact": 3, "segments": 2, "prefix": 2, "regex": 1}


def service_host(service: HttpService, port: int, resolver: Resolver, domain: str) -> VirtualHost:
    """What happens to requests for a service's port: its routes, else straight to it."""
    host, scope = service.hostname, resolver.scope
    routes: tuple[Route, ...] = ()
    if not resolver.through_waypoint(service):  # else routing is the waypoint's
        attached = scope.attached(service, port)
        if attached:
            routes = _attached(attached, resolver, port)
        elif (routing := scope.routing(host)) is not None:
            own = once.leaving(routing, for_gateway(routing.http, "mesh"), resolver, port)
            routes = tuple(bound(own, resolver, port))
    if not routes:
        there = resolver.destination(Destination(host, port, namespace=service.namespace), port)
        routes = (Route("default", (), Forward((there,))),)
    if scope.proxy.role == "waypoint":
        routes = (*_of_consumers(service, port, resolver), *routes)
    return VirtualHost(f"{host}:{port}", domains(service, scope, domain), routes)


def elsewhere(port: int, names: Collection[str], resolver: Resolver) -> Iterator[VirtualHost]:
    """Hosts of VirtualServices that no service of the port has. They are served on port 80, and on ports of services
    for which the same object has routes: nothing else says which port they are on."""
    scope = resolver.scope
    for host in scope.found.in_mesh:
        routing = scope.routed(host)
        if routing is None or host == "*":
            continue
        if _among(host, names) or (port != 80 and not any(_among(own, names) for own in routing.hosts)):
            continue
        if routes := tuple(bound(for_gateway(routing.http, "mesh"), resolver, port)):
            yield VirtualHost(f"{host}:{port}", (host,), routes)


def _attached(routings: Sequence[Routing], resolver: Resolver, port: int) -> tuple[Route, ...]:
    """Routes of the Gateway API; what none of them takes is not found."""
    found = (route for each in routings for route in once.leaving(each, each.http, resolver, port))
    routes = tuple(bound(precedence(found), resolver, port))
    if any(each.http for each in routings) and not _takes_all(routes):
        return (*routes, Route("default", (), NOT_FOUND))
    return routes


def _of_consumers(service: HttpService, port: int, resolver: Resolver) -> Iterator[Route]:
    """What callers of some namespaces have for themselves, each limited to callers of its namespace."""
    for namespace, routings in sorted(resolver.scope.consumers(service, port).items()):
        for route in _attached(routings, resolver, port):
            matches = route.matches or (Match(),)
            own = tuple(msgspec.structs.replace(match, source_namespace=namespace) for match in matches)
            yield msgspec.structs.replace(route, matches=own)


def _among(host: str, names: Collection[str]) -> bool:
    """Whether it is one of the names, or a wildcard that one of them is inside of."""
    return any(fits(host, name) for name in names) if host.startswith("*") else host in names


def domains(service: HttpService, scope: Scope, cluster_domain: str) -> tuple[str, ...]:
    """Every way a client may write the host, but for the port.

    Full name, short ones (as its DNS search has them), names of aliases, of pods of a headless service, addresses.
    """
    full = (service.hostname, *scope.aliases(service))
    names = [each for name in full for each in _spelled(name, scope.proxy.namespace, cluster_domain)]
    if service.headless:
        names += [f"*.{name}" for name in names]
    for address in service.addresses:
        if "/" not in address:
            names.append(f"[{address}]" if ":" in address else address)
    return tuple(dict.fromkeys(names))


def _spelled(hostname: str, namespace: str, cluster_domain: str) -> Iterator[str]:
    yield hostname
    base = hostname.removesuffix(f".svc.{cluster_domain}")
    name, dot, owner = base.partition(".")
    if base == hostname or not dot or "." in owner:
        return
    if owner == namespace:
        yield name
    yield base
    yield f"{base}.svc"


def for_gateway(routes: Iterable[Route], gateway: str) -> Iterator[Route]:
    """Routes whose matches hold at this gateway ("mesh" for sidecars and waypoints)."""
    for route in routes:
        if not route.matches:
            yield route
            continue
        kept = tuple(m for m in route.matches if not m.gateways or gateway in m.gateways)
        if kept:
            yield route if kept == route.matches else msgspec.structs.replace(route, matches=kept)


def bound(routes: Iterable[Route], resolver: Resolver, port: int) -> Iterator[Route]:
    """Routes as this proxy on this port gets them; what follows a route that takes everything is left out."""
    proxy = resolver.scope.proxy
    for route in routes:
        matches: tuple[Match, ...] = ()
        if route.matches:
            matches = _until_all(m for m in route.matches if _holds(m, proxy, port))
            if not matches:
                continue
        action = route.action
        if isinstance(action, Redirect) and action.port is None:
            action = msgspec.structs.replace(action, port=port)
        if isinstance(action, Forward):
            ends = tuple(resolver.destination(each, port) for each in action.destinations)
            action = action if ends == action.destinations else msgspec.structs.replace(action, destinations=ends)
        mirrors = tuple(
            msgspec.structs.replace(m, destination=resolver.destination(m.destination, port)) for m in route.mirrors
        )
        same = matches == route.matches and action is route.action and mirrors == route.mirrors
        yield route if same else msgspec.structs.replace(route, matches=matches, action=action, mirrors=mirrors)
        if not matches or takes_all(matches[-1]):
            return


def together(objects: Iterable[Iterable[Route]]) -> Iterator[Route]:
    """Routes of several objects for one host: what takes everything comes last, else one object would hide the next."""
    last: list[Route] = []
    for route in (each for routes in objects for each in routes):
        rest = tuple(m for m in route.matches if not takes_all(m))
        if len(rest) == len(route.matches) and rest:
            yield route
            continue
        if rest:
            yield msgspec.structs.replace(route, matches=rest)
        last.append(msgspec.structs.replace(route, matches=tuple(m for m in route.matches if takes_all(m))))
    yield from last


def _until_all(matches: Iterable[Match]) -> tuple[Match, ...]:
    """Matches up to the first that takes everything."""
    kept: list[Match] = []
    for match in matches:
        kept.append(match)
        if takes_all(match):
            break
    return tuple(kept)


def _holds(match: Match, proxy: Proxy, port: int) -> bool:
    if match.port not in (0, port):
        return False
    if proxy.role == "waypoint":
        # A waypoint serves all clients: who the client is, it learns from the connection (namespace), not from labels.
        return not match.source_labels
    return carries(proxy.tags, match.source_labels) and match.source_namespace in ("", proxy.namespace)


def precedence(routes: Iterable[Route]) -> list[Route]:
    """Routes of the Gateway API in its order; they come oldest first, and that order decides between equals."""
    return sorted(routes, key=lambda route: _rank(route.matches))


def _rank(matches: Sequence[Match]) -> tuple[int, int, int, int, int]:
    match = matches[0] if matches else Match()
    path = match.path
    return (
        -_PATHS[path.how] if path is not None else 0,
        -len(path.value) if path is not None else 0,
        0 if match.method is not None else 1,
        -len(match.headers),
        -len(match.query),
    )


def _takes_all(routes: Sequence[Route]) -> bool:
    return any(not route.matches or any(map(takes_all, route.matches)) for route in routes)


def takes_all(match: Match) -> bool:
    """Whether every request meets the match, so that nothing after it is ever asked."""
    path = match.path
    return (
        (path is None or (path.how, path.value) in _ANY_PATH)
        and not (match.headers or match.query or match.claims or match.grpc)
        and match.method is match.scheme is match.authority is None
        and not match.source_namespace
    )
