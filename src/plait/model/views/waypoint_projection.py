"""project(mesh, proxy) -> WaypointView: what stands behind this waypoint, its routes (the producer's) and policies."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from plait.model.attachment import Target
from plait.model.guard import guard_of, waypoint_targets
from plait.model.http_services import HttpPort, HttpService
from plait.model.index import index_of
from plait.model.mesh import Mesh
from plait.model.proxies import Proxy
from plait.model.routes import Destination, VirtualHost
from plait.model.views import bindings, enforcing, hosting
from plait.model.views.destinations import peer_of
from plait.model.views.keeping import kept
from plait.model.views.resolve import Resolver
from plait.model.views.scope import Scope
from plait.model.views.upstreams import UpstreamEndpoint
from plait.model.views.waypoint import ServedPort, ServedService, ServedWorkload, WaypointView


def project(mesh: Mesh, proxy: Proxy, previous: WaypointView | None = None) -> WaypointView:
    """The view of one waypoint's instance (`proxy.gateway` says which); equal parts of `previous` come back."""
    scope = Scope(mesh, proxy)
    resolver = Resolver(scope)
    own = waypoint_targets(mesh.l7, proxy.gateway)
    additions = enforcing.by_selector(proxy.namespace, proxy.tags, own)
    services = []
    for key in sorted(mesh.l7.services):
        service = mesh.l7.services[key]
        if service.waypoint == proxy.gateway:
            services.append(_service(service, resolver, own))
    settings, workload = mesh.settings, mesh.workloads.get(proxy.uid)
    made = WaypointView(
        proxy=proxy,
        settings=mesh.l7.settings,
        services=tuple(services),
        workloads=tuple(_workloads(mesh, proxy, resolver, own)),
        upstreams=resolver.upstreams(),
        enforced=enforcing.enforced(mesh.l7, proxy, enforcing.by_target(own), additions),
        trust_domains=tuple(dict.fromkeys((settings.trust_domain, *mesh.l7.settings.trust_domain_aliases))),
        l4=bindings.effective(mesh, index_of(mesh), proxy.namespace, workload.policies if workload is not None else ()),
    )
    if previous is None or previous == made:
        return previous or made
    return msgspec.structs.replace(
        made,
        services=kept(previous.services, made.services, lambda each: each.key),
        workloads=kept(previous.workloads, made.workloads, lambda each: each.uid),
        upstreams=kept(previous.upstreams, made.upstreams, lambda each: each.key),
        enforced=previous.enforced if previous.enforced == made.enforced else made.enforced,
    )


def _service(service: HttpService, resolver: Resolver, own: tuple[Target, ...]) -> ServedService:
    scope = resolver.scope
    targets = (*own, Target(service.kind, service.namespace, service.name))
    resolver.passing = guard_of(scope.mesh.l7).of_service(service)
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
    there = resolver.destination(Destination(service.hostname, port.number, namespace=service.namespace))
    destinations: tuple[Destination, ...] = (there,)
    names: list[tuple[tuple[str, ...], tuple[Destination, ...]]] = []
    attached = [each for each in resolver.scope.attached(service, port.number) if each.tls or each.tcp]
    found = resolver.scope.routing(service.hostname)
    for routing in attached or ([found] if found is not None else []):
        for tls in routing.tls:
            ends = tuple(resolver.destination(each, port.number) for each in tls.destinations)
            names += [(match.names, ends) for match in tls.matches if match.port in (0, port.number)]
        for tcp in routing.tcp:
            if not tcp.matches or any(m.port in (0, port.number) and not m.source_labels for m in tcp.matches):
                destinations = tuple(resolver.destination(each, port.number) for each in tcp.destinations)
                break
    return ServedPort(port.number, port.protocol, hosts, destinations, tuple(names))


def _workloads(mesh: Mesh, proxy: Proxy, resolver: Resolver, own: tuple[Target, ...]) -> Iterator[ServedWorkload]:
    guard, passing = guard_of(mesh.l7), guard_of(mesh.l7).of_waypoint(proxy.gateway)
    for uid in sorted(mesh.l7.instances):
        instance, workload = mesh.l7.instances[uid], mesh.workloads.get(uid)
        if instance.waypoint != proxy.gateway or workload is None or not workload.addresses:
            continue
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
        yield ServedWorkload(
            uid=uid,
            namespace=workload.namespace,
            addresses=workload.addresses,
            endpoint=endpoint,
            ports=tuple((number, ports[number].protocol) for number in sorted(ports)),
            refused=tuple(number for number in sorted(ports) if guard.lacking(workload, number, passing)),
            enforced=enforcing.enforced(
                mesh.l7,
                proxy,
                enforcing.by_target(own),
                enforcing.by_selector(proxy.namespace, proxy.tags, own),
            ),
        )
