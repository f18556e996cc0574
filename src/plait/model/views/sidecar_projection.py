"""project(mesh, proxy) -> SidecarView: what it may call, inbound by the pod's services, and what is enforced there."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from plait.model.attachment import Target
from plait.model.enforcement import decide, server_mode
from plait.model.guard import as_http, demanded, identities, passing
from plait.model.http_security import HttpPolicy
from plait.model.http_services import HttpService
from plait.model.l7 import PeerMode
from plait.model.mesh import Mesh, Workload
from plait.model.proxies import Proxy
from plait.model.sidecars import SidecarScope
from plait.model.views import enforcing, outbound_projection
from plait.model.views.enforced import Enforced
from plait.model.views.keeping import kept
from plait.model.views.kin import kin
from plait.model.views.resolve import Resolver
from plait.model.views.scope import Scope
from plait.model.views.sidecar import InboundPort, Outbound, SidecarView
from plait.model.views.upstreams import Upstream


def project(
    mesh: Mesh, proxy: Proxy, previous: SidecarView | None = None, calls: Outbound | None = None
) -> SidecarView:
    """The view of one sidecar; parts equal to those of `previous` come back as they were. `calls` is what its kin may
    call in this mesh, where that is known."""
    if calls is None:
        before = previous.__dict__.get("calls") if previous is not None else None
        calls = outbound_projection.project(mesh, kin(mesh, proxy), before)
    scope = Scope(mesh, proxy)
    workload = mesh.workloads.get(proxy.uid)
    modes = mesh.l7.peer_modes.get(proxy.uid, PeerMode())
    bound = _bound(mesh, proxy, workload)
    made = SidecarView(
        proxy=proxy,
        settings=mesh.l7.settings,
        http=calls.http,
        tcp=calls.tcp,
        upstreams=_upstreams(calls, scope, bound),
        unknown=calls.unknown,
        egress_proxy=calls.egress_proxy,
        inbound=tuple(_inbound(scope, modes)),
        default_mtls=modes.mode,
        enforced=bound,
        pool=scope.sidecar.pool if scope.sidecar is not None else None,
        tunnel=workload is not None and workload.tunnel == "hbone",
    )
    if previous is not None:
        made = _sharing(previous, made, calls)
    made.__dict__["calls"] = calls  # for the next one: a cache, not part of the value
    return made


def _sharing(previous: SidecarView, view: SidecarView, calls: Outbound) -> SidecarView:
    if previous == view:
        return previous
    shared = view.upstreams is calls.upstreams  # and has to be told to be
    return msgspec.structs.replace(
        view,
        upstreams=view.upstreams if shared else kept(previous.upstreams, view.upstreams, lambda each: each.key),
        inbound=kept(previous.inbound, view.inbound, lambda each: each.port),
        enforced=previous.enforced if previous.enforced == view.enforced else view.enforced,
    )


def _bound(mesh: Mesh, proxy: Proxy, workload: Workload | None) -> Enforced:
    """What is enforced for requests to the pod."""
    served = tuple(
        s
        for m in (workload.services if workload is not None else ())
        if (s := mesh.l7.services.get(m.service)) is not None and _enforces(s)
    )
    targets = tuple(map(_target, served))
    # What names one of its services moves here from a waypoint, once there is none (see model.enforcement).
    found = enforcing.enforced(
        mesh.l7,
        proxy,
        enforcing.by_selector(proxy.namespace, proxy.tags, targets),
        guards=as_http(mesh.policies, workload.policies if workload is not None else ()),
    )
    return msgspec.structs.replace(found, policies=tuple(_passing(mesh, served, found.policies)))


def _upstreams(calls: Outbound, scope: Scope, bound: Enforced) -> tuple[Upstream, ...]:
    """Those of calls, and of what its policies ask and its telemetry names beside: seldom more."""
    beside = (*enforcing.asked(enforcing.places(bound)), *enforcing.named(bound))
    if not beside:
        return calls.upstreams
    resolver = Resolver(scope)
    known = {each.key: each for each in calls.upstreams}
    resolver.adopt(known)
    resolver.also(beside)
    found = resolver.upstreams()
    return found if len(found) > len(known) else calls.upstreams


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
