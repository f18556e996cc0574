"""What a sidecar calls, as clusters, endpoints and routes: of one, or once for its whole kin (`model.views.kin`).

Its listeners are its own, because they tell who it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from plait.envoy import names
from plait.envoy.l7 import on_demand, routes
from plait.envoy.l7.bundle import of_upstreams, spoken
from plait.envoy.l7.context import Context
from plait.envoy.l7.manager import Needs
from plait.envoy.l7.on_demand import Key
from plait.envoy.l7.options import Options
from plait.envoy.l7.parts import Parts, Said
from plait.envoy.l7.report import Refusal
from plait.envoy.pieces import Doc
from plait.model.routes import VirtualHost
from plait.model.views.sidecar import HttpOutbound, Outbound, SidecarView, TcpOutbound
from plait.model.views.upstreams import Upstream


class Face(NamedTuple):
    """Who takes requests: the name of its routes, and what they need."""

    route: str
    needs: Needs
    port: int
    pinned: bool


class Chain(NamedTuple):
    """Connections to certain addresses, and who takes the requests among them."""

    tcp: TcpOutbound
    name: str
    face: Face | None


class Place(NamedTuple):
    """An address and port of egress: HTTP of the whole port, TCP by destination and server name."""

    bind: str
    port: int
    captured: bool
    sniff: bool
    face: Face | None
    chains: tuple[Chain, ...]


class Calls(NamedTuple):
    """Documents, and what listeners need to go with them."""

    view: Outbound
    upstreams: Mapping[Key, Upstream]
    lazy: Mapping[Key, object]
    clusters: list[Doc]
    endpoints: list[Doc]
    routes: list[Doc]
    extra: Mapping[str, Doc]
    """Clusters that these need beside."""
    refusals: tuple[Refusal, ...]
    places: tuple[Place, ...]
    """Where it listens. What has not changed is the object that it was."""
    said: Mapping[int, Said]
    """What was said of the documents, by `id`; of a single sidecar nothing yet."""

    def serve(self, view: SidecarView) -> bool:
        """Whether they are those of this sidecar too. Its own policies may call more, and need clusters early."""
        if view.upstreams is not self.view.upstreams:
            return False
        if not self.lazy:
            return True
        needed = on_demand.beside(view)
        return on_demand.may(view) and (not needed or not any(key[:2] in needed for key in self.lazy))


def of_one(view: SidecarView, options: Options, parts: Parts) -> Calls:
    """Of a sidecar for itself."""
    return _made(view, dict.fromkeys(on_demand.lazy(view, options), True), options, parts)


def of_kin(view: Outbound, options: Options, parts: Parts) -> Calls:
    """Of all sidecars for whom `view.proxy` stands; `parts` is what the one before left."""
    made = _made(view, dict.fromkeys(on_demand.of_calls(view, options), True), options, parts)
    every = {kind: spoken(parts, kind, getattr(made, kind)) for kind in ("clusters", "endpoints", "routes")}
    return made._replace(
        clusters=every["clusters"].documents,
        endpoints=every["endpoints"].documents,
        routes=every["routes"].documents,
        said={id(each.document): each for found in every.values() for each in found.said},
    )


def _made(view: Outbound, lazy: Mapping[Key, object], options: Options, parts: Parts) -> Calls:
    upstreams = parts.known(view.upstreams)
    parts.begin((upstreams, lazy), view.proxy, view.settings, options)
    ctx = Context(view.proxy, view.settings, options, upstreams, lazy=lazy, parts=parts)
    owns = {(each.bind, each.port, host.name): host for each in view.http for host in each.virtual_hosts}
    found = [_routes(ctx, view, each) for each in view.http]
    sniffed = (owns.get(_own(each)) for each in view.tcp if each.sniff)
    dialed = {own.name: own for own in sniffed if own is not None}
    found += ctx.each("dialed", tuple(dialed.values()), lambda host: host.name, _alone)
    clusters, endpoints = of_upstreams(ctx)
    places = parts.lasting("places", tuple(_places(view, owns, parts)), lambda place: place[:2])
    refused = tuple(ctx.report.found)
    return Calls(view, upstreams, lazy, list(clusters), list(endpoints), found, ctx.extra, refused, places, {})


def _own(each: TcpOutbound) -> tuple[str, int, str]:
    """The host of the service whose address is dialed: then it is meant, whatever host the client writes."""
    return each.bind, each.port, f"{each.hostname}:{each.port}"


def _places(view: Outbound, owns: Mapping[tuple[str, int, str], VirtualHost], parts: Parts) -> Iterator[Place]:
    http = {(each.bind, each.port): each for each in view.http}
    tcp: dict[tuple[str, int], list[TcpOutbound]] = {}
    for each in view.tcp:
        tcp.setdefault((each.bind, each.port), []).append(each)
    for at in sorted(http.keys() | tcp.keys()):
        bytes_, requests = tcp.get(at, []), http.get(at)
        face = None
        if requests is not None:
            needs = Needs.of(requests.virtual_hosts)
            face = Face(route_name(requests), needs, requests.port, requests.pinned)
        chains = (_chain(each, number, face, owns.get(_own(each))) for number, each in enumerate(bytes_))
        every: list[TcpOutbound | HttpOutbound] = [*bytes_, *([requests] if requests is not None else [])]
        # Where connections to any address are taken beside HTTP, the bytes tell which is which.
        everything = any(not each.addresses and not each.server_names for each in bytes_)
        yield Place(
            *at,
            captured=all(each.capture for each in every),
            sniff=everything or any(each.sniff for each in every),
            face=face,
            chains=parts.lasting(f"chains {at}", tuple(chains), lambda chain: (chain.name, chain.tcp.addresses)),
        )


def _chain(each: TcpOutbound, number: int, face: Face | None, own: VirtualHost | None) -> Chain:
    name = each.name or f"outbound|{each.port}|{number}"
    if face is None or not each.sniff or not (each.addresses or each.server_names):
        return Chain(each, name, None)
    if own is not None and each.hostname:
        face = face._replace(route=own.name, needs=Needs.of((own,)))
    return Chain(each, name, face)


def route_name(http: HttpOutbound) -> str:
    """As Istio: a socket file's is its path."""
    if http.bind.startswith("unix://"):
        return http.bind
    return str(http.port) if not http.bind else f"{http.bind}_{http.port}"


def _routes(ctx: Context, view: Outbound, http: HttpOutbound) -> Doc:
    more = {} if http.by_port else {"ignore_port_in_host_matching": True}
    document = routes.configuration(ctx, route_name(http), http.virtual_hosts, http.port, lasting=True, **more)
    if not any("*" in host["domains"] for host in document["virtual_hosts"]):
        document["virtual_hosts"].append(_fallback(ctx, view, http))
    return document


def _alone(ctx: Context, host: VirtualHost) -> Doc:
    """What to do with HTTP that was sent to the address of a service whose protocol the bytes tell."""
    any_host = VirtualHost(host.name, ("*",), host.routes, host.https_only)
    return routes.configuration(ctx, host.name, (any_host,), int(host.name.rpartition(":")[2]))


def _fallback(ctx: Context, view: Outbound, http: HttpOutbound) -> Doc:
    """Hosts nobody declared. Where the application connected to the proxy itself, there is no address to pass on to."""
    if view.egress_proxy is not None and ctx.known(view.egress_proxy):
        cluster, name = ctx.cluster_of(view.egress_proxy), "egress_proxy"
    elif view.unknown == "allow_any" and http.capture:
        cluster, name = names.PASSTHROUGH, "allow_any"
    else:
        refused = {"match": {"prefix": "/"}, "name": "block_all", "direct_response": {"status": 502}}
        return {"name": "block_all", "domains": ["*"], "routes": [refused]}
    routed = {
        "match": {"prefix": "/"},
        "name": name,
        "route": {"cluster": cluster, "timeout": "0s", "max_grpc_timeout": "0s"},
    }
    return {"name": name, "domains": ["*"], "routes": [routed]}
