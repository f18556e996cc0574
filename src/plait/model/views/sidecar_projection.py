"""project(mesh, proxy) -> SidecarView: outbound by port, inbound by the pod's services, and what is enforced there."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from plait.base.wellknown import PROXY_PORTS
from plait.model.attachment import Target
from plait.model.enforcement import decide, server_mode
from plait.model.guard import as_http, demanded, identities, passing
from plait.model.http_security import HttpPolicy
from plait.model.http_services import HttpService
from plait.model.l7 import PeerMode
from plait.model.mesh import Mesh
from plait.model.proxies import Proxy
from plait.model.routes import VirtualHost
from plait.model.sidecars import SidecarScope
from plait.model.views import egress, enforcing, hosting, outbound
from plait.model.views.keeping import kept
from plait.model.views.resolve import Resolver
from plait.model.views.scope import Scope
from plait.model.views.sidecar import HttpOutbound, InboundPort, SidecarView, TcpOutbound


def project(mesh: Mesh, proxy: Proxy, previous: SidecarView | None = None) -> SidecarView:
    """The view of one sidecar; parts equal to those of `previous` come back as they were."""
    scope = Scope(mesh, proxy)
    resolver = Resolver(scope)
    hosts: dict[int, list[VirtualHost]] = {}
    names: dict[int, set[str]] = {}
    sniffed: set[int] = set()
    pinned: set[int] = set()
    chains: dict[tuple[object, ...], TcpOutbound] = {}  # what an older service takes stays its own
    for service in scope.services():
        known = scope.concrete(service) is service
        if not known and not scope.own_routes(service):
            continue  # another name of a service: its hosts are among those of that
        for port in service.ports:
            if not scope.captures(service, port.number):
                continue
            if port.protocol == "udp" or port.number in PROXY_PORTS:
                continue  # the proxy listens on its own ports itself: such a service is passed through by its address
            if port.http or port.protocol == "auto":
                host = hosting.service_host(service, port.number, resolver, mesh.settings.cluster_domain)
                hosts.setdefault(port.number, []).append(host)
                names.setdefault(port.number, set()).add(service.hostname)
                if service.headless:
                    pinned.add(port.number)
            if port.protocol == "auto":
                sniffed.add(port.number)
            if not port.http and known and (not service.alias or port.protocol in outbound.TLS):
                for chain in outbound.chains(service, port.number, resolver, port.protocol):
                    chains.setdefault((chain.port, chain.addresses, chain.server_names), chain)
    for number, found in hosts.items():
        found += hosting.elsewhere(number, names[number], resolver)
    own = egress.listeners(resolver)
    sidecar, workload = scope.sidecar, mesh.workloads.get(proxy.uid)
    modes = mesh.l7.peer_modes.get(proxy.uid, PeerMode())
    served = tuple(
        s
        for m in (workload.services if workload is not None else ())
        if (s := mesh.l7.services.get(m.service)) is not None and _enforces(s)
    )
    targets = tuple(map(_target, served))
    # What names one of its services moves here from a waypoint, once there is none (see model.enforcement).
    bound = enforcing.enforced(
        mesh.l7,
        proxy,
        enforcing.by_selector(proxy.namespace, proxy.tags, targets),
        guards=as_http(mesh.policies, workload.policies if workload is not None else ()),
    )
    bound = msgspec.structs.replace(bound, policies=tuple(_passing(mesh, served, bound.policies)))
    resolver.also((*enforcing.asked(enforcing.places(bound)), *enforcing.named(bound)))
    unknown = (sidecar.outbound if sidecar is not None else "") or mesh.l7.settings.unknown_outbound
    egress_proxy = sidecar.egress_proxy if sidecar is not None and unknown == "allow_any" else None
    made = SidecarView(
        proxy=proxy,
        settings=mesh.l7.settings,
        http=(
            *(
                HttpOutbound(port, tuple(outbound.distinct(found, names[port])), port in sniffed, pinned=port in pinned)
                for port, found in sorted(hosts.items())
            ),
            *own.http,
        ),
        tcp=(*sorted(chains.values(), key=lambda c: (c.port, c.addresses, c.server_names, c.name)), *own.tcp),
        inbound=tuple(_inbound(scope, modes)),
        default_mtls=modes.mode,
        unknown=unknown,
        egress_proxy=resolver.destination(egress_proxy) if egress_proxy is not None else None,
        upstreams=resolver.upstreams(),
        enforced=bound,
        pool=sidecar.pool if sidecar is not None else None,
        tunnel=workload is not None and workload.tunnel == "hbone",
    )
    if previous is None or previous == made:
        return previous or made
    return msgspec.structs.replace(
        made,
        http=kept(previous.http, tuple(_kept_hosts(previous.http, made.http)), lambda each: (each.port, each.bind)),
        tcp=kept(
            previous.tcp, made.tcp, lambda each: (each.bind, each.port, each.addresses, each.server_names, each.name)
        ),
        upstreams=kept(previous.upstreams, made.upstreams, lambda each: each.key),
        inbound=kept(previous.inbound, made.inbound, lambda each: each.port),
        enforced=previous.enforced if previous.enforced == made.enforced else made.enforced,
    )


def _kept_hosts(old: tuple[HttpOutbound, ...], new: tuple[HttpOutbound, ...]) -> Iterator[HttpOutbound]:
    before = {(each.port, each.bind): each.virtual_hosts for each in old}
    for each in new:
        hosts = kept(before.get((each.port, each.bind), ()), each.virtual_hosts, lambda host: host.name)
        yield msgspec.structs.replace(each, virtual_hosts=hosts)


def _enforces(service: HttpService) -> bool:
    """Whether what is attached to one of the pod's services is enforced here, not at a waypoint."""
    mode = server_mode("sidecar", bool(demanded(service, "sidecar")))
    return decide("sidecar", mode, "waypoint-policy").point == "server sidecar"


def _target(service: HttpService) -> Target:
    return Target(service.kind, service.namespace, service.name)


def _passing(mesh: Mesh, served: tuple[HttpService, ...], policies: tuple[HttpPolicy, ...]) -> Iterator[HttpPolicy]:
    """What comes through a service's optional waypoint was judged there by what names the service."""
    through = [each for each in served if each.optional_waypoints]
    if not through:
        yield from policies
        return
    known = identities(mesh.l7, mesh.workloads, mesh.settings)
    for policy in policies:
        mine = (each.optional_waypoints for each in through if policy.attachment.names(_target(each)))
        waypoints = {waypoint for every in mine for waypoint in every}
        yield passing(policy, tuple(who for name in sorted(waypoints) for who in known.get(name) or _gone(mesh, name)))


def _gone(mesh: Mesh, waypoint: str) -> tuple[str, ...]:
    """Who a waypoint was whose Gateway was deleted: its pods end what they have begun."""
    namespace, _, name = waypoint.partition("/")
    return (f"{mesh.settings.trust_domain}/ns/{namespace}/sa/{name}",) if name else ()


def _inbound(scope: Scope, modes: PeerMode) -> Iterator[InboundPort]:
    """Ports of the scope, else of the pod's services; and those with a mode of their own that neither lists."""
    sidecar = scope.sidecar
    listed = list(
        _of_ingress(sidecar, scope.proxy, modes)
        if sidecar is not None and sidecar.ingress
        else _of_services(scope, modes)
    )
    yield from listed
    seen = {port.port for port in listed}
    for number, mode in modes.ports:
        if number not in seen:
            yield InboundPort(number, "auto", mode)


def _of_ingress(sidecar: SidecarScope, proxy: Proxy, modes: PeerMode) -> Iterator[InboundPort]:
    """What is not captured is listened for at the pod's own address, where nothing else is said."""
    own = proxy.addresses[0] if proxy.addresses else "0.0.0.0"
    for item in sidecar.ingress or ():
        endpoint = item.endpoint or f"127.0.0.1:{item.port}"
        mode, pool = modes.at(item.port), item.pool or sidecar.pool
        tls = item.tls if mode == "disable" else None
        bind = (item.bind or own) if item.capture == "none" else ""
        yield InboundPort(item.port, item.protocol, mode, endpoint=endpoint, tls=tls, pool=pool, bind=bind)


def _of_services(scope: Scope, modes: PeerMode) -> Iterator[InboundPort]:
    """A port that several services name is what the oldest says it is, of equals the first by name."""
    mesh, sidecar = scope.mesh, scope.sidecar
    workload = mesh.workloads.get(scope.proxy.uid)
    found = [(mesh.l7.services.get(each.service), each) for each in (workload.services if workload is not None else ())]
    found.sort(key=lambda pair: (pair[0].created if pair[0] is not None else "", pair[1].service))
    seen: set[int] = set()
    for service, membership in found:
        for port in membership.ports:
            target = port.target or port.service
            known = service.port(port.service) if service is not None else None
            if target in seen or (known is not None and known.protocol == "udp"):
                continue
            seen.add(target)
            yield InboundPort(
                port=target,
                protocol=known.protocol if known is not None else "auto",
                mtls=modes.at(target),
                service=membership.service,
                hostname=service.hostname if service is not None else "",
                service_port=port.service,
                pool=sidecar.pool if sidecar is not None else None,
            )
