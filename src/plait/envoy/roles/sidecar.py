"""How a SidecarView is said to Envoy: virtualOutbound with a listener per port behind it, virtualInbound, and 15008.

Captured connections arrive at 15001 and are handed to the listener of their port (`use_original_dst`); what no listener
takes passes through or is refused, as the mesh says.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from plait.base.bundle import Bundle
from plait.base.wellknown import RESERVED_PORTS
from plait.envoy import names
from plait.envoy.l7 import chains, inbound, manager, outbound, patches, points, terminate
from plait.envoy.l7.bundle import Documents, encode
from plait.envoy.l7.context import Context, seconds
from plait.envoy.l7.distinct import distinct
from plait.envoy.l7.duty import Duty
from plait.envoy.l7.options import DEFAULT, Options
from plait.envoy.l7.outbound import Calls, Chain, Face, Place
from plait.envoy.l7.parts import Parts
from plait.envoy.l7.patching.matching import Known
from plait.envoy.l7.report import Refusal
from plait.envoy.pieces import Constant, Doc, bound, cidr, socket_address
from plait.model.views.sidecar import SidecarView


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
    own = (view.inbound, view.default_mtls, view.pool, view.tunnel, view.unknown, view.egress_proxy)
    parts.begin((calls.upstreams, calls.lazy), view.proxy, view.settings, options, view.enforced, own)
    ctx = Context(view.proxy, view.settings, options, calls.upstreams, lazy=calls.lazy, parts=parts)
    ctx.extra.update(calls.extra)
    for each in calls.refusals:
        ctx.refuse("" if each.source.endswith("/") else each.source, each.path, each.message)
    found = Documents(parts=parts, known=calls.said)
    (itself,) = ctx.each("itself", _ONCE, str, lambda inner, _: _itself(inner, view))
    found.listeners += [*itself.catching, *(_place(ctx, view, each) for each in calls.places), *itself.listeners]
    found.routes += [*calls.routes, *itself.routes]
    found.clusters += itself.clusters
    found.clusters += calls.clusters
    found.endpoints += calls.endpoints
    found.complete(ctx)
    hosts = {inbound.cluster_name(port): frozenset((port.hostname,)) for port in view.inbound if port.hostname}
    patches.apply(ctx, view.enforced.patches, found, "sidecar", Known(hosts=hosts))
    found.refusals = tuple(ctx.report.found)
    return found


class _Itself(NamedTuple):
    """What follows from the pod, whatever it calls."""

    catching: tuple[Doc, ...]
    listeners: tuple[Doc, ...]
    routes: tuple[Doc, ...]
    clusters: tuple[Doc, ...]


_ONCE = ("itself",)


def _itself(ctx: Context, view: SidecarView) -> _Itself:
    catching = () if view.proxy.uncaptured else (_virtual_outbound(ctx, view),)
    listeners = [*_inbound(ctx, view)]
    routes = [inbound.route_configuration(ctx, view, port) for port in (*view.inbound, inbound.unlisted(view))]
    clusters = inbound.clusters(ctx, view)
    if view.tunnel:
        domains = (view.proxy.trust_domain, *view.settings.trust_domain_aliases)
        listeners += [terminate.listener(ctx, ctx.options.hbone_port, (), domains), _internal(ctx, view)]
        clusters.append(terminate.cluster())
        routes.append(terminate.route(RESERVED_PORTS | ctx.options.ports))
    return _Itself(catching, tuple(listeners), tuple(routes), tuple(clusters))


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


def _place(ctx: Context, view: SidecarView, place: Place) -> Doc:
    """The listener of an address and port, chain by chain: of many services few change at a time."""
    at = f"{place.bind} {place.port}"
    tcp = ctx.each(f"chain {at}", place.chains, lambda each: (each.name, each.tcp.addresses), partial(_tcp, view))
    face = () if place.face is None else (_Http(_name(place), place.sniff, place.face),)
    http = ctx.each(
        f"http {at}", ctx.parts.lasting(f"http {at}", face, lambda _: at), lambda _: at, partial(_http, view)
    )
    chains_ = (*(doc for docs in tcp for doc in docs), *http)
    named = any(each.tcp.server_names for each in place.chains)
    source = ctx.parts.lasting(f"listener {at}", (_Listener(place._replace(chains=()), named, chains_),), lambda _: at)
    return ctx.each(f"listener {at}", source, lambda _: at, partial(_listener, view))[0]


class _Http(NamedTuple):
    name: str
    sniff: bool
    face: Face


class _Listener(NamedTuple):
    place: Place
    """Without its chains."""
    named: bool
    """Whether any chain goes by server names."""
    chains: tuple[Doc, ...]


def _name(place: Place) -> str:
    return f"{place.bind or '0.0.0.0'}_{place.port}"


def _listener(view: SidecarView, ctx: Context, of: _Listener) -> Doc:
    place = of.place
    document: Doc = {
        "name": place.bind if place.bind.startswith("unix://") else _name(place),
        **_bound(ctx, place.bind, place.port),
        "traffic_direction": "OUTBOUND",
        "filter_chains": distinct(ctx, of.chains, _name(place)),
    }
    if place.captured:
        document["bind_to_port"] = False
    if place.sniff or of.named:
        document["listener_filters"] = [chains.TLS_INSPECTOR, *([chains.HTTP_INSPECTOR] if place.sniff else [])]
        document["listener_filters_timeout"] = seconds(ctx.settings.sniffing_timeout)
        document["continue_on_listener_filters_timeout"] = True
    if place.captured and (place.face is None or place.sniff):
        document["default_filter_chain"] = {"name": "PassthroughFilterChain", "filters": _rest(ctx, view)}
    return document


def _bound(ctx: Context, bind: str, port: int) -> Doc:
    """Where a listener is: what its author says, else everywhere."""
    if bind.startswith("unix://"):
        return {"address": {"pipe": {"path": bind.removeprefix("unix://")}}}
    if bind in ("", "0.0.0.0"):
        return bound(ctx.proxy.addresses, "0.0.0.0", "::", port)
    return {"address": socket_address(bind, port)}


def _tcp(view: SidecarView, ctx: Context, chain: Chain) -> tuple[Doc, ...]:
    match: Doc = {}
    each, made = chain.tcp, list[Doc]()
    if each.addresses:
        match["prefix_ranges"] = [cidr(address) for address in each.addresses]
    if each.server_names and "*" not in each.server_names:
        match["server_names"] = sorted(set(each.server_names))
    if each.server_names:
        match["transport_protocol"] = "tls"
    if chain.face is not None:
        said = {**match, "application_protocols": list(chains.HTTP_PROTOCOLS)}
        filters = [_manager(ctx, view, chain.name, chain.face)]
        made.append({"name": f"{chain.name}-http", "filter_chain_match": said, "filters": filters})
    protocol = each.protocol if not each.server_names else "tcp"
    filters = manager.tcp(ctx, chain.name, _duty(view), each.destinations, protocol=protocol, pinned=each.pinned)
    made.append({"name": chain.name, **({"filter_chain_match": match} if match else {}), "filters": filters})
    return tuple(map(Constant, made))


def _http(view: SidecarView, ctx: Context, of: _Http) -> Doc:
    match = {"filter_chain_match": {"application_protocols": list(chains.HTTP_PROTOCOLS)}} if of.sniff else {}
    return Constant({"name": of.name, "filters": [_manager(ctx, view, of.name, of.face)], **match})


def _manager(ctx: Context, view: SidecarView, name: str, face: Face) -> Doc:
    return manager.http(ctx, f"outbound_{name}", face.route, face.needs, _duty(view), face.port, pinned=face.pinned)


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
