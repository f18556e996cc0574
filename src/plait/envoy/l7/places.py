"""What a sidecar's applications call from: a listener for each place of its calls, chain by chain.

Of many services few change at a time, so chains are parts, and a listener is made again only with one of them.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from plait.envoy import names
from plait.envoy.l7 import chains, manager, points
from plait.envoy.l7.context import Context, seconds
from plait.envoy.l7.distinct import distinct
from plait.envoy.l7.duty import Duty
from plait.envoy.l7.outbound import Chain, Face, Place
from plait.envoy.pieces import Constant, Doc, bound, cidr, socket_address
from plait.model.views.sidecar import SidecarView


def listener(ctx: Context, view: SidecarView, place: Place) -> Doc:
    """Of an address and port: HTTP of the whole port, TCP by destination and server name."""
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
        **bound_at(ctx, place.bind, place.port),
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
        document["default_filter_chain"] = {"name": "PassthroughFilterChain", "filters": rest(ctx, view)}
    return document


def bound_at(ctx: Context, bind: str, port: int) -> Doc:
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
    filters = manager.tcp(ctx, chain.name, duty(view), each.destinations, protocol=protocol, pinned=each.pinned)
    made.append({"name": chain.name, **({"filter_chain_match": match} if match else {}), "filters": filters})
    return tuple(map(Constant, made))


def _http(view: SidecarView, ctx: Context, of: _Http) -> Doc:
    match = {"filter_chain_match": {"application_protocols": list(chains.HTTP_PROTOCOLS)}} if of.sniff else {}
    return Constant({"name": of.name, "filters": [_manager(ctx, view, of.name, of.face)], **match})


def _manager(ctx: Context, view: SidecarView, name: str, face: Face) -> Doc:
    return manager.http(ctx, f"outbound_{name}", face.route, face.needs, duty(view), face.port, pinned=face.pinned)


def duty(view: SidecarView) -> Duty:
    """Of a client's side: policies are the server's."""
    return Duty(points.outgoing(view.proxy), view.enforced, enforces=False)


def rest(ctx: Context, view: SidecarView) -> list[Doc]:
    """What no listener or chain takes."""
    if view.egress_proxy is not None:
        return manager.tcp(ctx, "egress", duty(view), (view.egress_proxy,))
    cluster = names.PASSTHROUGH if view.unknown == "allow_any" else names.BLACKHOLE
    return manager.tcp(ctx, cluster, duty(view), cluster)
