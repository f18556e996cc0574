"""Egress listeners of a Sidecar's own: hosts that an application reaches at an address of its pod, or at a socket file.

What was captured for other addresses does not get there, so hosts of such a listener alone are reached there alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from plait.base.wellknown import PROXY_PORTS
from plait.model.http_services import HttpPort, HttpService
from plait.model.routes import VirtualHost
from plait.model.sidecars import Egress
from plait.model.views import hosting, outbound
from plait.model.views.resolve import Resolver
from plait.model.views.sidecar import HttpOutbound, TcpOutbound

_HTTP = ("http", "http2", "grpc", "grpc-web")


class Own(NamedTuple):
    http: tuple[HttpOutbound, ...]
    tcp: tuple[TcpOutbound, ...]


def listeners(resolver: Resolver) -> Own:
    """Of all that the Sidecar has; of two at one place the first counts, as for what is captured."""
    http: list[HttpOutbound] = []
    tcp: list[TcpOutbound] = []
    taken: set[tuple[str, int]] = {(_loopback(resolver), port) for port in _applications(resolver)}
    sidecar = resolver.scope.sidecar
    for egress in (sidecar.egress or ()) if sidecar is not None else ():
        if not egress.own:
            continue
        bind, here = egress.bind or _loopback(resolver), set[tuple[str, int]]()
        for number in _numbers(egress, resolver):
            if (bind, number) not in taken and number not in PROXY_PORTS:
                here.add((bind, number))
                found = _listener(egress, bind, number, resolver)
                http += found.http
                tcp += found.tcp
        taken |= here
    return Own(tuple(http), tuple(tcp))


def _loopback(resolver: Resolver) -> str:
    addresses = resolver.scope.proxy.addresses
    return "::1" if addresses and all(":" in each for each in addresses) else "127.0.0.1"


def _applications(resolver: Resolver) -> Iterator[int]:
    """Ports of the pod's own application, which may listen on all addresses: where nothing is redirected to the proxy,
    it must leave them free, or the application could not start."""
    scope = resolver.scope
    workload = scope.mesh.workloads.get(scope.proxy.uid)
    if not scope.proxy.uncaptured or workload is None:
        return
    for membership in workload.services:
        yield from (port.target or port.service for port in membership.ports)
    for ingress in (scope.sidecar.ingress or ()) if scope.sidecar is not None else ():
        number = ingress.endpoint.rpartition(":")[2]
        yield int(number) if number.isdigit() else ingress.port


def _numbers(egress: Egress, resolver: Resolver) -> list[int]:
    """Its port (0: a socket file); one that says none is at each port of its services."""
    if egress.port or egress.bind.startswith("unix://"):
        return [egress.port]
    ports = (port for service in resolver.scope.chosen(egress) for port in service.ports if port.protocol != "udp")
    return sorted({port.number for port in ports})


def _listener(egress: Egress, bind: str, number: int, resolver: Resolver) -> Own:
    hosts: list[VirtualHost] = []
    chains: dict[tuple[object, ...], TcpOutbound] = {}
    sniff = False
    mixed = egress.proxy or not number
    for service, port in _served(egress, number, resolver):
        said = "http" if egress.proxy else egress.protocol if egress.port or mixed else port.protocol
        if said == "auto" and mixed:
            said = port.protocol
        if said in (*_HTTP, "auto"):
            host = hosting.service_host(service, port.number, resolver, resolver.scope.mesh.settings.cluster_domain)
            hosts.append(_with_port(host, port.number) if mixed else host)
        sniff = sniff or said == "auto"
        if said not in _HTTP and not egress.proxy:
            for each in outbound.chains(service, port.number, resolver, said, anywhere=True):
                made = msgspec.structs.replace(
                    each, port=number, bind=bind, capture=not egress.bound, sniff=False, hostname=""
                )
                chains.setdefault((made.addresses, made.server_names), made)
    names = {host.name.rpartition(":")[0] for host in hosts}
    if hosts and not mixed:
        hosts += hosting.elsewhere(number, names, resolver)
    kept = tuple(outbound.distinct(hosts, set() if mixed else names))
    http = HttpOutbound(number, kept, sniff or bool(chains), bind, capture=not egress.bound, by_port=mixed)
    return Own((http,) if kept else (), tuple(chains.values()))


def _served(egress: Egress, number: int, resolver: Resolver) -> Iterator[tuple[HttpService, HttpPort]]:
    """A generic proxy takes all ports; a socket file those that requests can name, or a service's only one."""
    for service in resolver.scope.chosen(egress):
        if resolver.scope.concrete(service) is not service and not resolver.scope.own_routes(service):
            continue  # another name of a service: its hosts are among those of that
        for port in service.ports:
            if port.protocol == "udp" or port.number in PROXY_PORTS:
                continue
            if port.number == number or egress.proxy or (not number and _told(egress, service, port)):
                yield service, port


def _told(egress: Egress, service: HttpService, port: HttpPort) -> bool:
    """Whether what comes to a socket file says that it is for this port."""
    if egress.protocol in (*_HTTP, "auto"):
        return port.http or port.protocol == "auto"
    return len(service.ports) == 1


def _with_port(host: VirtualHost, port: int) -> VirtualHost:
    """Domains for where a client's port decides: 80 is what is meant without one."""
    named = tuple(f"{domain}:{port}" for domain in host.domains)
    return VirtualHost(host.name, (*host.domains, *named) if port == 80 else named, host.routes, host.https_only)
