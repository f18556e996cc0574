"""project(mesh, proxy) -> Outbound: what a sidecar may call and how, service by service. For a whole kin, ask as `kin`.

Services that nothing has changed for come from the projection before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from plait.base.wellknown import PROXY_PORTS
from plait.model.http_services import HttpService
from plait.model.mesh import Mesh
from plait.model.proxies import Proxy
from plait.model.routes import VirtualHost
from plait.model.views import changes, egress, hosting, outbound
from plait.model.views.changes import Changes
from plait.model.views.keeping import kept
from plait.model.views.resolve import Resolver, UpstreamKey
from plait.model.views.scope import Scope
from plait.model.views.sidecar import HttpOutbound, Outbound, TcpOutbound
from plait.model.views.upstreams import Upstream


def project(mesh: Mesh, proxy: Proxy, previous: Outbound | None = None) -> Outbound:
    """Parts equal to those of `previous` come back as they were."""
    resolver = Resolver(Scope(mesh, proxy))
    before = _Before(mesh, proxy, previous)
    made = {}
    for service in _named(resolver.scope):
        made[service.key] = each = before.service(service.key) or _made(service, resolver)
        resolver.adopt(each.upstreams)
    own = egress.listeners(resolver)
    http, tcp = (*_http(made, resolver), *own.http), (*_tcp(made), *own.tcp)
    sidecar, settings = resolver.scope.sidecar, mesh.l7.settings
    unknown = (sidecar.outbound if sidecar is not None else "") or settings.unknown_outbound
    proxied = sidecar.egress_proxy if sidecar is not None and unknown == "allow_any" else None
    egress_proxy = resolver.destination(proxied) if proxied is not None else None
    view = Outbound(proxy, settings, http, tcp, resolver.upstreams(), unknown, egress_proxy)
    if previous is not None:
        view = _sharing(previous, view)
    _keep(view, mesh, made)
    return view


def _named(scope: Scope) -> Iterator[HttpService]:
    """Services but for those that are another name of one: their hosts are among those of that."""
    return (each for each in scope.services() if scope.concrete(each) is each or scope.own_routes(each))


class _Host(NamedTuple):
    port: int
    host: VirtualHost
    hostname: str
    sniffed: bool
    pinned: bool


class _Made(NamedTuple):
    """A service as it is called, and what that was made of beside its own object and routes."""

    hosts: tuple[_Host, ...]
    chains: tuple[TcpOutbound, ...]
    asked: frozenset[str]
    """Its own host, and those of all its destinations."""
    upstreams: Mapping[UpstreamKey, Upstream]


def _made(service: HttpService, resolver: Resolver) -> _Made:
    part = resolver.part()
    hosts: list[_Host] = []
    chains: list[TcpOutbound] = []
    for port in service.ports:
        if not part.scope.captures(service, port.number) or port.protocol == "udp" or port.number in PROXY_PORTS:
            continue  # the proxy listens on its own ports itself: such a service is passed through by its address
        sniffed = port.protocol == "auto"
        if port.http or sniffed:
            host = hosting.service_host(service, port.number, part, part.scope.mesh.settings.cluster_domain)
            hosts.append(_Host(port.number, host, service.hostname, sniffed, service.headless))
        known = part.scope.concrete(service) is service
        if not port.http and known and (not service.alias or port.protocol in outbound.TLS):
            chains += outbound.chains(service, port.number, part, port.protocol)
    asked = frozenset((*part.asked, service.hostname, *((service.alias,) if service.alias else ())))
    return _Made(tuple(hosts), tuple(chains), asked, {key: part.made(key) for key in part.named})


def _http(made: Mapping[str, _Made], resolver: Resolver) -> Iterator[HttpOutbound]:
    found: dict[int, list[_Host]] = {}
    for each in made.values():
        for host in each.hosts:
            found.setdefault(host.port, []).append(host)
    for port, those in sorted(found.items()):
        names = {each.hostname for each in those}
        others = list(hosting.elsewhere(port, names, resolver))
        full = names.union(*(host.domains for host in others))
        yield HttpOutbound(
            port,
            tuple(outbound.distinct([*(each.host for each in those), *others], full)),
            any(each.sniffed for each in those),
            pinned=any(each.pinned for each in those),
        )


def _tcp(made: Mapping[str, _Made]) -> list[TcpOutbound]:
    """What an older service takes stays its own."""
    chains: dict[tuple[object, ...], TcpOutbound] = {}
    for each in made.values():
        for chain in each.chains:
            chains.setdefault((chain.port, chain.addresses, chain.server_names), chain)
    return sorted(chains.values(), key=lambda c: (c.port, c.addresses, c.server_names, c.name))


# What of the view before holds ---


class _Kept(NamedTuple):
    """What a view was made of. It carries this: a cache, not part of the value."""

    mesh: Mesh
    services: Mapping[str, _Made]


class _Before:
    def __init__(self, mesh: Mesh, proxy: Proxy, previous: Outbound | None) -> None:
        self._services: Mapping[str, _Made] = {}
        self._changes: Changes | None = None
        last: _Kept | None = previous.__dict__.get("before") if previous is not None else None
        if previous is not None and last is not None and previous.proxy == proxy:
            self._services, self._changes = last.services, changes.between(last.mesh, mesh)

    def service(self, key: str) -> _Made | None:
        made, changed = self._services.get(key), self._changes
        if made is None or changed is None or key in changed.services or changed.of_hosts(made.asked):
            return None
        return made


def _keep(view: Outbound, mesh: Mesh, made: Mapping[str, _Made]) -> None:
    view.__dict__["before"] = _Kept(mesh, made)


def _sharing(previous: Outbound, view: Outbound) -> Outbound:
    if previous == view:
        return previous
    return msgspec.structs.replace(
        view,
        http=kept(previous.http, tuple(_kept_hosts(previous.http, view.http)), lambda each: (each.port, each.bind)),
        tcp=kept(
            previous.tcp, view.tcp, lambda each: (each.bind, each.port, each.addresses, each.server_names, each.name)
        ),
        upstreams=kept(previous.upstreams, view.upstreams, lambda each: each.key),
    )


def _kept_hosts(old: tuple[HttpOutbound, ...], new: tuple[HttpOutbound, ...]) -> Iterator[HttpOutbound]:
    before = {(each.port, each.bind): each.virtual_hosts for each in old}
    for each in new:
        hosts = kept(before.get((each.port, each.bind), ()), each.virtual_hosts, lambda host: host.name)
        yield msgspec.structs.replace(each, virtual_hosts=hosts)
