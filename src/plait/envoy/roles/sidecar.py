"""How a SidecarView is said to Envoy: virtualOutbound with a listener per port behind it, virtualInbound, and 15008.

Captured connections arrive at 15001 and are handed to the listener of their port (`use_original_dst`); what no listener
takes passes through or is refused, as the mesh says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from plait.base.bundle import Bundle
from plait.envoy import names
from plait.envoy.l7 import chains, inbound, manager, outbound, patches, points, terminate
from plait.envoy.l7.bundle import Documents, encode
from plait.envoy.l7.context import Context, seconds
from plait.envoy.l7.distinct import distinct
from plait.envoy.l7.duty import Duty
from plait.envoy.l7.options import DEFAULT, Options
from plait.envoy.l7.outbound import Calls, route_name
from plait.envoy.l7.parts import Parts
from plait.envoy.l7.patching.matching import Known
from plait.envoy.l7.report import Refusal
from plait.envoy.pieces import Doc, bound, cidr, socket_address
from plait.model.routes import VirtualHost
from plait.model.views.sidecar import HttpOutbound, SidecarView, TcpOutbound


def translate(view: SidecarView, options: Options = DEFAULT) -> Bundle:
    """Everything pushed to this sidecar but secrets."""
    return encode(build(view, options)).bundle


def documents(view: SidecarView, options: Options = DEFAULT) -> dict[str, list[Doc]]:
    return build(view, options).dictionary()


def refusals(view: SidecarView, options: Options = DEFAULT) -> tuple[Refusal, ...]:
    """What of the view is not said to Envoy, and why."""
    return encode(build(view, options)).refusals


def build(
    view: SidecarView, options: Options = DEFAULT, parts: Parts | None = None, kin: Calls | None = None
) -> Documents:
    """`kin`: what all of this sidecar's kin call, made before."""
    parts = parts or Parts()
    calls = kin if kin is not None and kin.serve(view) else outbound.of_one(view, options, parts.half("outbound"))
    parts.begin((calls.upstreams, calls.lazy), view.proxy, view.settings, options)
    ctx = Context(view.proxy, view.settings, options, calls.upstreams, lazy=calls.lazy, parts=parts)
    ctx.extra.update(calls.extra)
    for each in calls.refusals:
        ctx.refuse("" if each.source.endswith("/") else each.source, each.path, each.message)
    found = Documents(parts=parts, known=calls.said)
    captured = not view.proxy.uncaptured
    found.listeners += [_virtual_outbound(ctx, view)] if captured else []
    found.listeners += [*_outbound(ctx, view, calls), *_inbound(ctx, view)]
    found.routes += calls.routes
    found.routes += [inbound.route_configuration(ctx, view, port) for port in (*view.inbound, inbound.unlisted(view))]
    found.clusters += inbound.clusters(ctx, view)
    if view.tunnel:
        domains = (view.proxy.trust_domain, *view.settings.trust_domain_aliases)
        found.listeners += [terminate.listener(ctx, options.hbone_port, (), domains), _internal(ctx, view)]
        found.clusters.append(terminate.cluster())
        found.routes.append(terminate.route())
    found.clusters += calls.clusters
    found.endpoints += calls.endpoints
    found.complete(ctx)
    hosts = {inbound.cluster_name(port): frozenset((port.hostname,)) for port in view.inbound if port.hostname}
    patches.apply(ctx, view.enforced.patches, found, "sidecar", Known(hosts=hosts))
    found.refusals = tuple(ctx.report.found)
    return found


# Outbound ---


def _virtual_outbound(ctx: Context, view: SidecarView) -> Doc:
    guard = manager.tcp(ctx, "loop", _duty(view), names.BLACKHOLE)
    return {
        "name": "virtualOutbound",
        **bound(ctx.proxy.addresses, "0.0.0.0", "::", ctx.options.outbound_port),
        "traffic_direction": "OUTBOUND",
        "use_original_dst": True,
        "filter_chains": [
            {
                "name": "virtualOutbound-trafficloop",
                "filter_chain_match": {"destination_port": ctx.options.outbound_port},
                "filters": guard,
            },
            {"name": "virtualOutbound-catchall-tcp", "filters": _rest(ctx, view)},
        ],
    }


def _rest(ctx: Context, view: SidecarView) -> list[Doc]:
    """What no listener or chain takes."""
    if view.egress_proxy is not None:
        return manager.tcp(ctx, "egress", _duty(view), (view.egress_proxy,))
    cluster = names.PASSTHROUGH if view.unknown == "allow_any" else names.BLACKHOLE
    return manager.tcp(ctx, cluster, _duty(view), cluster)


def _outbound(ctx: Context, view: SidecarView, calls: Calls) -> Iterator[Doc]:
    """One listener for each address and port of egress: HTTP of the whole port, TCP by destination and server name."""
    keys = {(each.bind, each.port) for each in view.http} | {(each.bind, each.port) for each in view.tcp}
    for bind, port in sorted(keys):
        http = [each for each in view.http if (each.bind, each.port) == (bind, port)]
        tcp = [each for each in view.tcp if (each.bind, each.port) == (bind, port)]
        yield _of_port(ctx, view, calls, bind, port, http, tcp)


def _of_port(
    ctx: Context,
    view: SidecarView,
    calls: Calls,
    bind: str,
    port: int,
    http: list[HttpOutbound],
    tcp: list[TcpOutbound],
) -> Doc:
    address = bind or "0.0.0.0"
    captured = all(each.capture for each in http) and all(each.capture for each in tcp)
    made: list[Doc] = []
    for number, each in enumerate(tcp):
        made += _tcp(ctx, view, calls.own(each), each, number, next(iter(http), None))
    # Where connections to any address are taken beside HTTP, the bytes tell which is which.
    everything = any(not each.addresses and not each.server_names for each in tcp)
    sniff = everything or any(each.sniff for each in http) or any(each.sniff for each in tcp)
    if http:
        match = {"application_protocols": list(chains.HTTP_PROTOCOLS)} if sniff else {}
        name, every = f"{address}_{port}", http[0]
        filters = [_manager(ctx, view, every, name, route_name(every), every.virtual_hosts)]
        manager_chain = {"name": name, "filters": filters}
        made.append({**manager_chain, "filter_chain_match": match} if match else manager_chain)
    document: Doc = {
        "name": f"{address}_{port}" if not address.startswith("unix://") else address,
        **_bound(ctx, bind, port),
        "traffic_direction": "OUTBOUND",
        "filter_chains": distinct(ctx, made, f"{address}_{port}"),
    }
    if captured:
        document["bind_to_port"] = False
    if sniff or any(each.server_names for each in tcp):
        document["listener_filters"] = [chains.TLS_INSPECTOR, *([chains.HTTP_INSPECTOR] if sniff else [])]
        document["listener_filters_timeout"] = seconds(ctx.settings.sniffing_timeout)
        document["continue_on_listener_filters_timeout"] = True
    if captured and (not http or sniff):
        document["default_filter_chain"] = {"name": "PassthroughFilterChain", "filters": _rest(ctx, view)}
    return document


def _bound(ctx: Context, bind: str, port: int) -> Doc:
    """Where a listener is: what its author says, else everywhere."""
    if bind.startswith("unix://"):
        return {"address": {"pipe": {"path": bind.removeprefix("unix://")}}}
    if bind in ("", "0.0.0.0"):
        return bound(ctx.proxy.addresses, "0.0.0.0", "::", port)
    return {"address": socket_address(bind, port)}


def _tcp(
    ctx: Context, view: SidecarView, own: VirtualHost | None, each: TcpOutbound, number: int, http: HttpOutbound | None
) -> Iterator[Doc]:
    """`own`: what is meant by the address; `http`: what takes requests at the same place."""
    match: Doc = {}
    if each.addresses:
        match["prefix_ranges"] = [cidr(address) for address in each.addresses]
    if each.server_names and "*" not in each.server_names:
        match["server_names"] = sorted(set(each.server_names))
    if each.server_names:
        match["transport_protocol"] = "tls"
    name = each.name or f"outbound|{each.port}|{number}"
    if each.sniff and http is not None and match:
        said = {**match, "application_protocols": list(chains.HTTP_PROTOCOLS)}
        route, hosts = (own.name, (own,)) if own is not None else (route_name(http), http.virtual_hosts)
        manager_ = _manager(ctx, view, http, name, route, hosts)
        yield {"name": f"{name}-http", "filter_chain_match": said, "filters": [manager_]}
    protocol = each.protocol if not each.server_names else "tcp"
    filters = manager.tcp(ctx, name, _duty(view), each.destinations, protocol=protocol, pinned=each.pinned)
    yield {"name": name, **({"filter_chain_match": match} if match else {}), "filters": filters}


def _manager(
    ctx: Context, view: SidecarView, http: HttpOutbound, name: str, route: str, hosts: Iterable[VirtualHost]
) -> Doc:
    return manager.http(ctx, f"outbound_{name}", route, hosts, _duty(view), http.port, pinned=http.pinned)


def _duty(view: SidecarView) -> Duty:
    """Of a client's side: policies are the server's."""
    return Duty(points.outgoing(view.proxy), view.enforced, enforces=False)


# Inbound ---


def _inbound(ctx: Context, view: SidecarView) -> Iterator[Doc]:
    if not view.proxy.uncaptured:
        made = list(inbound.listed(ctx, view))
        yield _listening(ctx, "virtualInbound", "0.0.0.0", ctx.options.inbound_port, made, True)
    for port in view.inbound:
        if port.bind:
            made = list(inbound.of_port(ctx, view, port, own=True))
            yield _listening(ctx, f"{port.bind}_{port.port}", port.bind, port.port, made, False)


def _listening(ctx: Context, name: str, bind: str, port: int, made: list[Doc], captured: bool) -> Doc:
    transparent = captured and ctx.proxy.transparent
    return {
        "name": name,
        **_bound(ctx, bind, port),
        "traffic_direction": "INBOUND",
        **({"transparent": True} if transparent else {}),
        "listener_filters": [
            *([chains.ORIGINAL_DST] if captured else []),
            *([chains.ORIGINAL_SRC] if transparent else []),
            chains.TLS_INSPECTOR,
            chains.HTTP_INSPECTOR,
        ],
        "listener_filters_timeout": seconds(ctx.settings.sniffing_timeout),
        "continue_on_listener_filters_timeout": True,
        "filter_chains": made,
    }


def _internal(ctx: Context, view: SidecarView) -> Doc:
    made = list(inbound.tunnelled(ctx, view))
    if not made:
        filters = manager.tcp(ctx, "none", _duty(view), names.BLACKHOLE)
        made = [{"name": "none", "filters": filters}]
    return {
        "name": terminate.INTERNAL,
        "internal_listener": {},
        "listener_filters": [
            chains.ORIGINAL_DST,
            *([chains.ORIGINAL_SRC] if ctx.proxy.transparent else []),
            chains.TLS_INSPECTOR,
            chains.HTTP_INSPECTOR,
        ],
        "listener_filters_timeout": seconds(ctx.settings.sniffing_timeout),
        "continue_on_listener_filters_timeout": True,
        "filter_chains": made,
    }
