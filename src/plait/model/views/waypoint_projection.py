"""project(mesh, proxy) -> WaypointView: what stands behind this waypoint, its routes (the producer's) and policies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from operator import is_not
from typing import NamedTuple

import msgspec

from plait.base.revision import Revision, differing, revision
from plait.model.attachment import Target
from plait.model.grouping import Groups, regrouped
from plait.model.guard import guard_of, waypoint_targets
from plait.model.http_services import HttpPort, HttpService
from plait.model.index import index_of
from plait.model.mesh import Mesh
from plait.model.proxies import Proxy
from plait.model.routes import Destination, Routing, TcpMatch, TlsMatch, VirtualHost
from plait.model.views import bindings, changes, enforcing, hosting, once
from plait.model.views.changes import Changes
from plait.model.views.destinations import peer_of
from plait.model.views.enforced import Enforced
from plait.model.views.keeping import kept
from plait.model.views.resolve import Resolver, UpstreamKey
from plait.model.views.scope import Scope
from plait.model.views.upstreams import Upstream, UpstreamEndpoint
from plait.model.views.waypoint import Connections, ServedPort, ServedService, ServedWorkload, WaypointView


def project(mesh: Mesh, proxy: Proxy, previous: WaypointView | None = None) -> WaypointView:
    """The view of one waypoint's instance (`proxy.gateway` says which); equal parts of `previous` come back."""
    own = waypoint_targets(mesh.l7, proxy.gateway)
    resolver = Resolver(Scope(mesh, proxy), own)
    additions = enforcing.by_selector(proxy.namespace, proxy.tags, own)
    before = _Before(mesh, proxy, previous)
    bound = enforcing.enforced(mesh.l7, proxy, enforcing.by_target(own), additions)
    make = partial(_made, resolver=resolver, own=own)
    found = before.patched(make) if before.binds(bound) else None
    if found is None:
        made_of = _anew(mesh, proxy, resolver, make, before)
        resolver.also(enforcing.asked(enforcing.places(bound).union(*(each.asks for each in made_of.values()))))
        resolver.also(enforcing.named(bound))
        found = _Found(made_of, revision({each.key: each for each in resolver.upstreams()}), frozenset(resolver.asked))
    workloads = before.workloads(bound, lambda uid: _workload(mesh, proxy, bound, uid))
    settings, own_pod = mesh.settings, mesh.workloads.get(proxy.uid)
    view = WaypointView(
        proxy=proxy,
        settings=mesh.l7.settings,
        services=tuple([each.served for each in found.made.values()]),
        workloads=tuple(workloads.values()),
        upstreams=before.upstreams(found),
        enforced=bound,
        trust_domains=tuple(dict.fromkeys((settings.trust_domain, *mesh.l7.settings.trust_domain_aliases))),
        activator=settings.activator,
        l4=bindings.effective(mesh, index_of(mesh), proxy.namespace, own_pod.policies if own_pod is not None else ()),
    )
    if previous is not None:
        view = _sharing(previous, view)
    before.keep(view, found, workloads)
    return view


def _anew(
    mesh: Mesh, proxy: Proxy, resolver: Resolver, make: Callable[[HttpService], _Made], before: _Before
) -> Mapping[str, _Made]:
    """All services behind it, those that may have changed made anew; the resolver has their upstreams afterwards."""
    found: dict[str, _Made] = {}
    for key in sorted(mesh.l7.services):
        service = mesh.l7.services[key]
        if not service.behind(proxy.gateway):
            continue  # an optional one serves before the first client comes, and until the last has gone
        found[key] = made = before.service(key) or make(service)
        resolver.adopt(made.upstreams)
    return found


def _made(service: HttpService, resolver: Resolver, own: tuple[Target, ...]) -> _Made:
    part = resolver.part(guard_of(resolver.scope.mesh.l7).of_service(service))
    served = _service(service, part, own)
    hosts = frozenset((*part.asked, service.hostname))
    return _Made(served, hosts, {each: part.made(each) for each in part.named}, enforcing.places(served.enforced))


def _sharing(previous: WaypointView, view: WaypointView) -> WaypointView:
    if previous == view:
        return previous
    return msgspec.structs.replace(
        view,
        services=kept(previous.services, view.services, lambda each: each.key),
        workloads=kept(previous.workloads, view.workloads, lambda each: each.uid),
        upstreams=kept(previous.upstreams, view.upstreams, lambda each: each.key),
        enforced=previous.enforced if previous.enforced == view.enforced else view.enforced,
    )


class _Made(NamedTuple):
    """A service as it is served, and what that was made of beside its own object and routes."""

    served: ServedService
    hosts: frozenset[str]
    """Its own, and those of all its destinations."""
    upstreams: Mapping[UpstreamKey, Upstream]
    asks: frozenset[enforcing.Place]
    """Whom its policies ask."""


class _Found(NamedTuple):
    """All that stands behind the waypoint, made."""

    made: Mapping[str, _Made]
    ends: Revision[UpstreamKey, Upstream]
    """Of all, in order."""
    asked: frozenset[str]
    """Hosts that the proxy asks or names by itself: no service's routes have these."""


class _Kept(NamedTuple):
    """What a view was made of. It carries this: a cache, not part of the value."""

    mesh: Mesh
    services: Revision[str, _Made]
    by_host: Groups[_Made]
    """By all that `_Made.hosts` has."""
    ends: Revision[UpstreamKey, Upstream]
    asked: frozenset[str]
    workloads: Revision[str, ServedWorkload]


_NOTHING = _Kept(Mesh(), Revision(), {}, Revision(), frozenset(), Revision())


class _Before:
    """What of the previous view holds in this Mesh too."""

    def __init__(self, mesh: Mesh, proxy: Proxy, previous: WaypointView | None) -> None:
        self._mesh, self._previous = mesh, previous
        self._changes: Changes | None = None
        self._last = _NOTHING
        last: _Kept | None = previous.__dict__.get("before") if previous is not None else None
        if previous is not None and last is not None and previous.proxy == proxy:
            self._last, self._changes = last, changes.between(last.mesh, mesh)

    def service(self, key: str) -> _Made | None:
        made, changed = self._last.services.get(key), self._changes
        if made is None or changed is None or key in changed.services or changed.of_hosts(made.hosts):
            return None
        return made

    def binds(self, bound: Enforced) -> bool:
        """Whether the waypoint itself enforced this before."""
        return self._previous is not None and self._previous.enforced == bound

    def patched(self, make: Callable[[HttpService], _Made]) -> _Found | None:
        """All, where the same services stand there and lead to the same places, whatever these are now; else None."""
        changed, last = self._changes, self._last
        if changed is None or changed.offered or changed.of_hosts(last.asked):
            return None
        again: dict[str, _Made] = {}
        for key in self._touched(changed):
            old, new = last.services[key], make(self._mesh.l7.services[key])
            if (old.upstreams.keys(), old.asks) != (new.upstreams.keys(), new.asks):
                return None
            again[key] = new
        ends = {key: end for made in again.values() for key, end in made.upstreams.items()}
        return _Found(last.services.revised(again), last.ends.revised(ends), last.asked)

    def _touched(self, changed: Changes) -> list[str]:
        """Services that are made of what has changed."""
        by_host = self._last.by_host
        leading = (made.served.key for host in changed.among(by_host) for made in by_host[host])
        return sorted({*leading, *(key for key in changed.services if key in self._last.services)})

    def upstreams(self, found: _Found) -> tuple[Upstream, ...]:
        if self._previous is not None and found.ends is self._last.ends:
            return self._previous.upstreams
        return tuple(found.ends.values())

    def workloads(self, bound: Enforced, make: Callable[[str], ServedWorkload | None]) -> Revision[str, ServedWorkload]:
        """By uid, in order."""
        changed, last = self._changes, self._last.workloads
        same = changed is not None and not changed.offered and self.binds(bound)
        uids = changed.pods if changed is not None and same else self._mesh.l7.instances.keys() | last.keys()
        found = {uid: made for uid in uids if (made := make(uid)) is not None}
        return last.revised(found, uids).in_order(last)

    def keep(self, view: WaypointView, found: _Found, workloads: Revision[str, ServedWorkload]) -> None:
        """For the next view: what is new refers to the very objects of this one."""
        last = self._last
        same = self._previous is not None and self._previous.upstreams is view.upstreams
        ends = last.ends if same else found.ends.revised({end.key: end for end in view.upstreams}, differ=is_not)
        moved = differing(last.services, found.made)
        again: dict[str, _Made] = {}
        for key, made in ((key, found.made[key]) for key in moved if key in found.made):
            old = last.services.get(key)
            served = old.served if old is not None and old.served == made.served else made.served
            again[key] = made._replace(served=served, upstreams={each: ends[each] for each in made.upstreams})
        services = last.services.revised(again, moved).in_order(last.services)
        groups = regrouped(last.by_host, last.services, services, lambda made: made.hosts, lambda made: made.served.key)
        view.__dict__["before"] = _Kept(self._mesh, services, groups, ends, found.asked, workloads)


def _service(service: HttpService, resolver: Resolver, own: tuple[Target, ...]) -> ServedService:
    scope = resolver.scope
    targets = (*own, Target(service.kind, service.namespace, service.name))
    additions = enforcing.by_selector(scope.proxy.namespace, scope.proxy.tags, targets)
    return ServedService(
        key=service.key,
        hostname=service.hostname,
        namespace=service.namespace,
        name=service.name,
        addresses=service.addresses,
        ports=tuple(_port(service, port, resolver) for port in service.ports if port.protocol != "udp"),
        enforced=enforcing.enforced(scope.mesh.l7, scope.proxy, enforcing.by_target(targets), additions),
    )


def _port(service: HttpService, port: HttpPort, resolver: Resolver) -> ServedPort:
    hosts: tuple[VirtualHost, ...] = ()
    if port.http or port.protocol == "auto":
        domain = resolver.scope.mesh.settings.cluster_domain
        host = hosting.service_host(service, port.number, resolver, domain)
        # Who comes here was sent here for this service: whatever host the client wrote, it is the one.
        hosts = (VirtualHost(host.name, ("*",), host.routes, host.https_only),)
    attached = resolver.scope.connecting(service, port.number)
    found = resolver.scope.routing(service.hostname, http=False)
    common = attached or ([found] if found is not None else [])
    # Of whom some rules hold alone: routes that a namespace has for itself, and matches by the caller's namespace.
    whose = dict.fromkeys(sorted(_callers(common)), common)
    for namespace, routings in sorted(resolver.scope.consumers(service, port.number).items()):
        if own := [each for each in routings if each.tls or each.tcp]:
            whose[namespace] = own
    anybody = _connections("", service, port, common, resolver)
    callers = tuple(_connections(name, service, port, whose[name], resolver) for name in sorted(whose))
    return ServedPort(port.number, port.protocol, hosts, anybody.destinations, anybody.server_names, callers)


def _callers(routings: Iterable[Routing]) -> Iterator[str]:
    """Namespaces that matches of connections name."""
    for routing in routings:
        tls = (match.source_namespace for rule in routing.tls for match in rule.matches)
        tcp = (match.source_namespace for rule in routing.tcp for match in rule.matches)
        yield from filter(None, (*tls, *tcp))


def _connections(
    caller: str, service: HttpService, port: HttpPort, routings: Iterable[Routing], resolver: Resolver
) -> Connections:
    """Where those of callers of this namespace go ("" any): by these routes, else straight to the service."""
    there = resolver.destination(Destination(service.hostname, port.number, namespace=service.namespace))
    destinations: tuple[Destination, ...] = (there,)
    names: list[tuple[tuple[str, ...], tuple[Destination, ...]]] = []

    def holds(match: TcpMatch | TlsMatch) -> bool:
        return once.at_waypoint(match, port.number) and match.source_namespace in ("", caller)

    for routing in routings:
        for tls in routing.tls:
            ends = tuple(resolver.destination(each, port.number) for each in tls.destinations)
            names += [(m.names, ends) for m in tls.matches if holds(m)]
        for tcp in routing.tcp:
            if not tcp.matches or any(map(holds, tcp.matches)):
                destinations = tuple(resolver.destination(each, port.number) for each in tcp.destinations)
                break
    return Connections(caller, destinations, tuple(names))


def _workload(mesh: Mesh, proxy: Proxy, bound: Enforced, uid: str) -> ServedWorkload | None:
    """A workload that is reached by its own address through this waypoint."""
    instance, workload = mesh.l7.instances.get(uid), mesh.workloads.get(uid)
    if instance is None or instance.waypoint != proxy.gateway or workload is None or not workload.addresses:
        return None
    guard, passing = guard_of(mesh.l7), guard_of(mesh.l7).of_waypoint(proxy.gateway)
    ports: dict[int, HttpPort] = {}
    for membership in workload.services:
        service = mesh.l7.services.get(membership.service)
        for port in membership.ports:
            known = service.port(port.service) if service is not None else None
            if known is not None:
                ports.setdefault(port.target or port.service, known)
    tunnel = workload.tunnel == "hbone"
    identities = (str(workload.identity),) if tunnel else ()
    endpoint = UpstreamEndpoint(
        workload.addresses[0], 0, "tunnel" if tunnel else "plain", identities, peer=peer_of(workload)
    )
    return ServedWorkload(
        uid=uid,
        namespace=workload.namespace,
        addresses=workload.addresses,
        endpoint=endpoint,
        ports=tuple((number, ports[number].protocol) for number in sorted(ports)),
        refused=tuple(number for number in sorted(ports) if guard.lacking(workload, number, passing)),
        enforced=bound,
    )
