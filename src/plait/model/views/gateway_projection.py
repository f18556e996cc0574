"""project(mesh, proxy) -> GatewayView: the listeners of all gateways this pod serves, routes by listener and host."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from plait.model.attachment import Target, carries
from plait.model.gateways import Gateway, Listener
from plait.model.hostnames import fits, meet, overlap, specificity
from plait.model.mesh import Mesh, Workload
from plait.model.proxies import Proxy
from plait.model.routes import Respond, Route, Routing, TcpMatch, VirtualHost
from plait.model.views import enforcing, hosting, once, passing
from plait.model.views.gateway import GatewayView, HttpChain, ServerPort, TcpChain
from plait.model.views.keeping import kept
from plait.model.views.resolve import Resolver, UpstreamKey
from plait.model.views.scope import Scope, sees
from plait.model.views.upstreams import Upstream

_HTTP = ("HTTP", "HTTPS", "GRPC", "HTTP2")


def project(mesh: Mesh, proxy: Proxy, previous: GatewayView | None = None) -> GatewayView:
    """The view of one gateway pod; equal to `previous` means that very object."""
    scope = Scope(mesh, proxy)
    mine = sorted((g for g in mesh.l7.gateways.values() if _serves(g, proxy)), key=lambda g: g.age)
    workload = mesh.workloads.get(proxy.uid)
    groups: dict[tuple[int, str], list[tuple[Gateway, Listener]]] = {}
    refused: dict[tuple[int, str], list[str]] = {}
    for gateway in mine:
        for listener in gateway.listeners:
            if listener.broken or listener.protocol == "HBONE":
                continue
            target = 0 if gateway.managed else _target(workload, listener.port)
            socket = (target or listener.port, listener.bind)
            group = groups.setdefault(socket, [])
            if not group or _family(group[0][1]) == _family(listener):
                group.append((gateway, listener))
            else:
                refused.setdefault(socket, []).append(f"Gateway/{gateway.namespace}/{gateway.name}")
    targets = tuple(Target("Gateway", g.namespace, g.name) for g in mine if g.managed)
    classes = tuple(Target("GatewayClass", "", g.class_name) for g in mine if g.managed)
    resolver = Resolver(scope, (*targets, *classes))
    passed: dict[UpstreamKey, Upstream] = {}
    ports = tuple(
        _port(*socket, group, resolver, passed, tuple(refused.get(socket, ())))
        for socket, group in sorted(groups.items())
    )
    binds = enforcing.by_selector(proxy.namespace, proxy.tags, (*targets, *classes))
    bound = enforcing.enforced(mesh.l7, proxy, binds)
    resolver.also((*enforcing.asked(enforcing.places(bound)), *enforcing.named(bound)))
    made = GatewayView(
        proxy=proxy,
        settings=mesh.l7.settings,
        ports=ports,
        upstreams=resolver.upstreams(),
        enforced=bound,
        secrets=tuple(sorted(_secrets(mine, resolver))),
        passed=tuple(passed[key] for key in sorted(passed)),
    )
    if previous is None or previous == made:
        return previous or made
    return msgspec.structs.replace(
        made,
        ports=kept(previous.ports, made.ports, lambda each: (each.port, each.bind)),
        upstreams=kept(previous.upstreams, made.upstreams, lambda each: each.key),
        passed=kept(previous.passed, made.passed, lambda each: each.key),
        enforced=previous.enforced if previous.enforced == made.enforced else made.enforced,
    )


def _serves(gateway: Gateway, proxy: Proxy) -> bool:
    if gateway.managed:
        return not gateway.waypoint and gateway.key == f"gateway-api/{proxy.gateway}"
    return carries(proxy.tags, gateway.selector)


def _target(workload: Workload | None, port: int) -> int:
    """Where the pod listens for what its Service takes at this port; 0: no Service of it has the port."""
    ports = (each for member in (workload.services if workload is not None else ()) for each in member.ports)
    return next((each.target for each in ports if each.service == port), 0)


def _family(listener: Listener) -> str:
    if listener.tls is not None or listener.protocol == "TLS":
        return "tls"
    return "http" if listener.protocol in _HTTP else "tcp"


def _port(
    port: int,
    bind: str,
    group: list[tuple[Gateway, Listener]],
    resolver: Resolver,
    passed: dict[UpstreamKey, Upstream],
    refused: tuple[str, ...],
) -> ServerPort:
    """`port` is where the pods listen; what routes ask about a port is about the listener's. Adds to `passed`."""
    http: list[HttpChain] = []
    tcp: list[TcpChain] = []
    plain: list[VirtualHost] = []
    through, left = passing.passed((listener for _, listener in group), resolver)
    passed.update({each.key: each for each in through})
    for gateway, listener in sorted(group, key=lambda pair: _closeness(pair[1])):
        if passing.automatic(listener):
            continue
        hosts = () if listener.tls is None else tuple(s.host for s in listener.hosts)
        names = () if "*" in hosts else hosts
        passthrough = listener.tls is not None and listener.tls.mode == "passthrough"
        if listener.protocol in _HTTP and not passthrough:
            found = _hosts(gateway, listener, group, resolver)
            if listener.tls is None:
                plain += found
            else:
                name = f"https.{port}.{listener.name}.{gateway.name}.{gateway.namespace}"
                virtual = tuple(found)
                if gateway.managed:
                    virtual = (*virtual, *_misdirected(listener, group, virtual))
                http.append(HttpChain(names, virtual, listener.tls, name))
        else:
            tcp += _tcp(gateway, listener, names, passthrough, resolver)
    first = group[0][1]
    if first.protocol in _HTTP and first.tls is None:
        http.append(HttpChain((), tuple(_joined(plain)), None, f"http.{port}"))
    servers = sorted({listener.port for _, listener in group})
    elsewhere = () if servers == [port] else tuple(servers)
    keys = tuple(each.key for each in through)
    return ServerPort(port, bind, first.protocol, tuple(http), tuple(tcp), keys, left, elsewhere, refused)


def _misdirected(
    listener: Listener, group: list[tuple[Gateway, Listener]], hosts: Iterable[VirtualHost]
) -> Iterator[VirtualHost]:
    """Hosts of other listeners, asked for on a connection that a client opened for this one: 421, so it opens another.

    What this listener means itself, and has no route for, is not found.
    """
    own = listener.hosts[0].host
    served = {domain for host in hosts for domain in host.domains}
    others = {
        other.hosts[0].host
        for _, other in group
        if other is not listener and other.protocol == "HTTPS" and other.hosts[0].host != own
    }
    elsewhere = sorted(others - served)
    if elsewhere:
        yield _answering("misdirected", tuple(elsewhere), 421, listener.port)
        if own not in served and any(fits(each, own) for each in elsewhere):
            yield _answering("unrouted", (own,), 404, listener.port)


def _answering(name: str, domains: tuple[str, ...], status: int, port: int) -> VirtualHost:
    return VirtualHost(f"{name}:{port}", domains, (Route(name, (), Respond(status)),))


def _joined(hosts: list[VirtualHost]) -> Iterator[VirtualHost]:
    """Several gateways may serve one host of a port: its routes are those of all of them."""
    by_domains: dict[tuple[str, ...], list[VirtualHost]] = {}
    for host in hosts:
        by_domains.setdefault(host.domains, []).append(host)
    for first, *rest in by_domains.values():
        if not rest:
            yield first
            continue
        every = (first, *rest)
        routes = tuple(hosting.together(each.routes for each in every))
        yield VirtualHost(first.name, first.domains, routes, any(each.https_only for each in every))


def _closeness(listener: Listener) -> tuple[bool, int]:
    """Listeners with the most specific host first: only they take that host (listener isolation)."""
    host = listener.hosts[0].host if listener.hosts else "*"
    return host.startswith("*"), -len(host)


def _hosts(
    gateway: Gateway, listener: Listener, group: list[tuple[Gateway, Listener]], resolver: Resolver
) -> Iterator[VirtualHost]:
    """One virtual host for each hostname: several objects for one host are joined, the oldest first."""
    by_host: dict[str, list[tuple[Routing, str]]] = {}
    for routing in _bound(gateway, listener, resolver):
        if not routing.http:
            continue
        for host, own in _closest(_meeting(routing, gateway, listener)).items():
            if not _taken_elsewhere(host, listener, gateway, group):
                by_host.setdefault(host, []).append((routing, own))
    if listener.https_only:
        for scope in listener.hosts:
            by_host.setdefault(scope.host, [])
    for host in sorted(by_host):
        found = [
            once.leaving(each, each.http, resolver, listener.port)
            if gateway.managed
            else hosting.bound(
                once.leaving(each, hosting.for_gateway(each.http, gateway.key), resolver, listener.port),
                resolver,
                listener.port,
            )
            for each, _ in by_host[host]
        ]
        if gateway.managed:
            ordered = _by_hostname(found, [own for _, own in by_host[host]])
            routes = tuple(hosting.bound(ordered, resolver, listener.port))
        else:
            routes = tuple(hosting.together(found))
        if routes or listener.https_only:
            domain = host or "*"
            yield VirtualHost(f"{domain}:{listener.port}", (domain,), routes, listener.https_only)


def _closest(meeting: Iterable[tuple[str, str]]) -> dict[str, str]:
    """By hostname that both mean, the closest of the hostnames that a route wrote for it."""
    found: dict[str, str] = {}
    for host, own in meeting:
        found[host] = min(found.get(host, own), own, key=specificity)
    return found


def _by_hostname(routes: Sequence[Iterable[Route]], written: Sequence[str]) -> Iterator[Route]:
    """What a route wrote for a closer hostname is asked first, whatever its matches; then comes their precedence."""
    levels = sorted({specificity(own)[:2] for own in written})
    for level in levels:
        equal = (found for found, own in zip(routes, written, strict=True) if specificity(own)[:2] == level)
        yield from hosting.precedence(itertools.chain(*equal))


def _bound(gateway: Gateway, listener: Listener, resolver: Resolver) -> Iterator[Routing]:
    for routing in resolver.scope.found.by_gateway.get(gateway.key, ()):
        parent = next(p for p in routing.parents if p.key == gateway.key)
        if gateway.managed and listener.name not in parent.listeners:
            continue
        if gateway.managed or sees(routing.visible, resolver.scope.proxy.namespace):
            yield routing


def _meeting(routing: Routing, gateway: Gateway, listener: Listener) -> Iterator[tuple[str, str]]:
    """Hostnames that both the routes and the listener mean, each with what the routes wrote."""
    if gateway.managed:
        for host in routing.hosts or ("*",):
            found = meet(listener.hosts[0].host, host)
            if found is not None:
                yield found, host
        return
    for scope in listener.hosts:
        if scope.namespace not in ("*", routing.namespace):
            continue
        for host in routing.hosts:
            found = overlap(scope.host, host)
            if found is not None:
                yield found, host


def _taken_elsewhere(host: str, listener: Listener, gateway: Gateway, group: list[tuple[Gateway, Listener]]) -> bool:
    """Whether another listener of the port is closer to this very hostname, so that this one must not serve it."""
    if not gateway.managed or not listener.hosts:
        return False
    own = listener.hosts[0].host
    for other_gateway, other in group:
        if other is listener or not other_gateway.managed or not other.hosts:
            continue
        theirs = other.hosts[0].host
        if theirs != own and fits(theirs, host) and fits(own, theirs):
            return True
    return False


def _tcp(
    gateway: Gateway, listener: Listener, names: tuple[str, ...], passthrough: bool, resolver: Resolver
) -> Iterator[TcpChain]:
    tls = None if passthrough else listener.tls
    for routing in _bound(gateway, listener, resolver):
        if not gateway.managed and next(_meeting(routing, gateway, listener), None) is None:
            continue
        for route in routing.tls:
            left = once.connections(route, routing, resolver, listener.port)
            ends = tuple(resolver.destination(each, listener.port) for each in left)
            for match in route.matches:
                if match.port not in (0, listener.port) or (match.gateways and gateway.key not in match.gateways):
                    continue
                asked = match.names or routing.hosts or ("*",)
                pairs = (meet(name, each) for each in asked for name in (names or ("*",)))
                server_names = tuple(dict.fromkeys(name for name in pairs if name))
                if server_names:
                    own = tuple(name for name in server_names if name != "*")
                    yield TcpChain(own, ends, tls, route.name or routing.key, (), match.destinations)
        # Bytes of TLS that passes unopened are for those who know its names: rules of TCP would take everybody's.
        for tcp in () if passthrough else routing.tcp:
            left = once.connections(tcp, routing, resolver, listener.port)
            ends = tuple(resolver.destination(each, listener.port) for each in left)
            for m in tcp.matches or (TcpMatch(),):
                if m.port in (0, listener.port) and (not m.gateways or gateway.key in m.gateways):
                    yield TcpChain(names, ends, tls, tcp.name or routing.key, m.sources, m.destinations)


def _secrets(gateways: list[Gateway], resolver: Resolver) -> set[str]:
    found: set[str] = set()
    for gateway in gateways:
        if gateway.backend_credential:
            found.add(gateway.backend_credential)
        for listener in gateway.listeners:
            if listener.tls is not None and not listener.broken:
                found.update(c.secret for c in listener.tls.certificates if c.secret)
                found.update(filter(None, (listener.tls.client_roots_secret, *listener.tls.client_roots_more)))
    for upstream in resolver.upstreams():
        if upstream.policy.tls is not None and upstream.policy.tls.credential:
            found.add(upstream.policy.tls.credential)
    return found
