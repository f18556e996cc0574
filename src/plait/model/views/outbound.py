"""Outbound of a sidecar, service by service: chains for connections, and which virtual host keeps which domain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from ipaddress import ip_address, ip_network

from plait.model.attachment import carries
from plait.model.http_services import READ, HttpService, PortProtocol
from plait.model.proxies import Proxy
from plait.model.routes import Destination, Routing, TcpMatch, TlsMatch, VirtualHost
from plait.model.views import once
from plait.model.views.resolve import Resolver
from plait.model.views.sidecar import TcpOutbound

TLS = ("tls", "https")


def distinct(found: list[VirtualHost], names: set[str]) -> Iterator[VirtualHost]:
    """A domain may stand once in a route configuration: who has it as its full name keeps it, else the first host (in
    key order)."""
    taken: set[str] = set()
    for host in sorted(found, key=lambda h: h.name):
        full = host.name.rpartition(":")[0]
        own = tuple(each for each in host.domains if each == full or (each not in taken and each not in names))
        taken.update(own)
        if own:
            yield host if own == host.domains else VirtualHost(host.name, own, host.routes, host.https_only)


def chains(
    service: HttpService, port: int, resolver: Resolver, protocol: PortProtocol, *, anywhere: bool = False
) -> Iterator[TcpOutbound]:
    """TLS by server name before TCP; without routes straight to the service. `anywhere`: whatever was dialed."""
    sniff = protocol == "auto"
    if protocol in READ and resolver.through_waypoint(service):
        protocol = "tcp"  # calls are read once
    proxy = resolver.scope.proxy
    ways = [((), "")] if anywhere else _ways(service, port, resolver)
    every = tuple(address for addresses, _ in ways for address in addresses)
    if service.headless and not every and not anywhere:
        return  # nobody can be dialed
    made = partial(TcpOutbound, port, protocol=protocol, sniff=sniff, hostname=service.hostname if every else "")
    plain = True
    if not resolver.through_waypoint(service):
        for routing in _routings(service, port, resolver):
            for tls in routing.tls:
                for match in tls.matches:
                    if _holds(match, proxy, port):
                        ends = _resolved(once.connections(tls, routing, resolver, port), resolver, port)
                        where = match.destinations or every
                        yield made(where, ends, match.names, name=tls.name or routing.key)
            for tcp in routing.tcp:
                matches = [m for m in tcp.matches if _holds(m, proxy, port)]
                if tcp.matches and not matches:
                    continue
                ends = _resolved(once.connections(tcp, routing, resolver, port), resolver, port)
                special = [m for m in matches if m.destinations]
                if special and len(special) == len(matches):
                    for m in special:
                        yield made(m.destinations, ends, name=tcp.name or routing.key)
                    continue
                plain = False
                yield made(every, ends, name=tcp.name or routing.key)
                break
    if plain:
        there = resolver.destination(Destination(service.hostname, port, namespace=service.namespace), port)
        names = (service.hostname,) if protocol in TLS and not every else ()
        for addresses, pinned in ways:
            name = f"{service.hostname}_{pinned}" if pinned else service.hostname
            yield made(addresses, (there,), names, name=name, pinned=pinned)


def _ways(service: HttpService, port: int, resolver: Resolver) -> list[tuple[tuple[str, ...], str]]:
    """Addresses by which the service is dialed, and the endpoint that is meant: of a headless one each of its pods."""
    if not service.headless or resolver.through_waypoint(service):
        return [(service.addresses, "")]
    found = resolver.upstream(service, port).endpoints
    return sorted({((end.address, *end.others), end.address) for end in found})


def _routings(service: HttpService, port: int, resolver: Resolver) -> list[Routing]:
    if attached := resolver.scope.connecting(service, port):
        return attached
    routing = resolver.scope.routing(service.hostname, http=False)
    return [routing] if routing is not None else []


def _holds(match: TcpMatch | TlsMatch, proxy: Proxy, port: int) -> bool:
    return (
        match.port in (0, port)
        and (not match.gateways or "mesh" in match.gateways)
        and carries(proxy.tags, match.source_labels)
        and match.source_namespace in ("", proxy.namespace)
        and not (isinstance(match, TcpMatch) and match.sources and not _among(proxy.addresses, match.sources))
    )


def _among(addresses: Iterable[str], blocks: Iterable[str]) -> bool:
    """A sidecar's connections come from its own pod."""
    networks = [ip_network(block) for block in blocks]
    return any(ip_address(address) in network for address in addresses for network in networks)


def _resolved(found: tuple[Destination, ...], resolver: Resolver, port: int) -> tuple[Destination, ...]:
    return tuple(resolver.destination(each, port) for each in found)
