"""How a WaypointView is said to Envoy: connect_terminate, then main_internal per service or workload, then a tunnel on.

What a connection is for is decided by the authority of its CONNECT (address and port, or a service's name); a
destination this waypoint does not know has no chain, so the connection is closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from plait.base.bundle import Bundle
from plait.envoy import names
from plait.envoy.l7 import (
    balancing,
    chains,
    endpoints,
    limits,
    manager,
    patches,
    points,
    routes,
    statistics,
    terminate,
    upstreams,
)
from plait.envoy.l7.authorization import FS_PRINCIPAL
from plait.envoy.l7.bundle import Documents, encode
from plait.envoy.l7.chains import chain, tree
from plait.envoy.l7.context import Context, may_be_http, seconds
from plait.envoy.l7.duty import Duty
from plait.envoy.l7.manager import Needs
from plait.envoy.l7.options import DEFAULT, Options
from plait.envoy.l7.parts import Parts
from plait.envoy.l7.points import Point
from plait.envoy.l7.report import Refusal
from plait.envoy.pieces import HTTP1, UNLIMITED, Constant, Doc, extension, state
from plait.envoy.tunnels import RAW, through_internal_listener
from plait.model.limits import narrowed
from plait.model.routes import Destination
from plait.model.views.waypoint import Connections, ServedPort, ServedService, ServedWorkload, WaypointView

Names = tuple[tuple[tuple[str, ...], tuple[Destination, ...]], ...]
"""TLS by server name."""
_FS_LOCAL = "envoy.filters.listener.original_dst.local_ip"
_FS_TARGET = "plait.destination"
REFUSED = "refused"
_BLACKHOLE = extension(
    "envoy.filters.network.tcp_proxy",
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    stat_prefix="none",
    cluster=names.BLACKHOLE,
)


def translate(view: WaypointView, options: Options = DEFAULT) -> Bundle:
    """Everything pushed to this waypoint but secrets."""
    return encode(build(view, options)).bundle


def documents(view: WaypointView, options: Options = DEFAULT) -> dict[str, list[Doc]]:
    return build(view, options).dictionary()


def refusals(view: WaypointView, options: Options = DEFAULT) -> tuple[Refusal, ...]:
    """What of the view is not said to Envoy, and why."""
    return encode(build(view, options)).refusals


def build(view: WaypointView, options: Options = DEFAULT, parts: Parts | None = None) -> Documents:
    parts = parts or Parts()
    served = {service.hostname: True for service in view.services}
    known = parts.known(view.upstreams)
    parts.begin((known, served), view.proxy, view.settings, options)
    ctx = Context(view.proxy, view.settings, options, known, served, parts=parts)
    found = Documents(parts=parts)
    behind = [
        *ctx.each("service", view.services, lambda each: each.key, _of_service),
        *ctx.each("workload", view.workloads, lambda each: each.uid, _of_workload),
    ]
    found.routes += [route for each in behind for route in each.routes]
    found.clusters += [cluster for each in behind for cluster in each.clusters]
    deciding = (bool(view.workloads), *[each.place for each in behind], *[each.chains for each in behind])
    found.listeners += [
        *parts.made("outer", (view.port, view.l4, view.trust_domains, view.activator), partial(_outer, ctx, view)),
        parts.made("internal", deciding, lambda: _internal(ctx, behind, bool(view.workloads))),
    ]
    cluster, route = parts.made("ending", (), lambda: (terminate.cluster(), terminate.route()))
    found.clusters.append(cluster)
    found.routes.append(route)
    found.add_upstreams(ctx)
    patches.apply(ctx, view.enforced.patches, found, "waypoint")
    found.refusals = tuple(ctx.report.found)
    return found


def _outer(ctx: Context, view: WaypointView) -> tuple[Doc, ...]:
    return (
        terminate.listener(ctx, view.port, view.l4, view.trust_domains),
        *terminate.held(ctx, view.activator, view.l4, view.trust_domains),
    )


class _Place(NamedTuple):
    """How a connection gets to what stands behind: by name in the authority, or by address; and what is looked at."""

    names: tuple[tuple[str, Doc], ...]
    addresses: tuple[str, ...]
    ports: Doc
    looked: tuple[tuple[int, bool], ...] = ()
    """Ports, and whether the first bytes decide there."""
    refuses: bool = False


class _Behind(NamedTuple):
    """One service or workload behind this waypoint, as documents."""

    place: _Place | None
    chains: tuple[Doc, ...]
    routes: tuple[Doc, ...]
    clusters: tuple[Doc, ...] = ()


def _of_service(ctx: Context, service: ServedService) -> _Behind:
    routed: list[Doc] = []
    made = tuple(Constant(each) for port in service.ports for each in _service_chains(ctx, service, port, routed))
    leaves = {port.port: _leaf(service, port) for port in service.ports}
    if not leaves:
        return _Behind(None, made, tuple(routed))
    place = _Place(
        tuple((f"{service.hostname}:{port}", leaf) for port, leaf in leaves.items()),
        service.addresses,
        tree(chains.by_port(leaves)),
        tuple((port.port, port.protocol == "auto" or port.named) for port in service.ports),
    )
    return _Behind(place, made, tuple(routed))


def _of_workload(ctx: Context, workload: ServedWorkload) -> _Behind:
    routed: list[Doc] = []
    made = tuple(_workload_chains(ctx, workload, routed))
    place = _Place((), workload.addresses, tree(_ports(workload)), refuses=bool(workload.refused))
    return _Behind(place, made, tuple(routed), (_direct(ctx, workload),))


def _internal(ctx: Context, behind: Sequence[_Behind], workloads: bool) -> Doc:
    """The listener that decides. Bytes are looked at only where the protocol is not said."""
    places = [each.place for each in behind if each.place is not None]
    ports: dict[int, set[bool]] = {}
    for place in places:
        for port, looked in place.looked:
            ports.setdefault(port, set()).add(looked)
    quiet = [] if workloads else sorted(port for port, found in ports.items() if found == {False})
    made = [chain for each in behind for chain in each.chains]
    rest: Doc = {
        "name": terminate.INTERNAL,
        "internal_listener": {},
        "stat_prefix": terminate.INTERNAL,
        "listener_filters": [
            chains.ORIGINAL_DST,
            _unless(chains.TLS_INSPECTOR, quiet),
            _unless(chains.HTTP_INSPECTOR, quiet),
        ],
        "listener_filters_timeout": seconds(ctx.settings.sniffing_timeout),
        "continue_on_listener_filters_timeout": True,
        "filter_chains": made,
    }
    if any(place.refuses for place in places):
        rest["filter_chains"] = [*made, _refusing()]
    if made:
        rest["filter_chain_matcher"] = _matcher(places)
    else:  # nobody is served yet: an internal listener must have a chain all the same
        rest["filter_chains"] = [{"name": "none", "filters": [_BLACKHOLE]}]
    return rest


def _unless(listener_filter: Doc, ports: list[int]) -> Doc:
    if not ports:
        return listener_filter
    rules = [{"destination_port_range": {"start": port, "end": port + 1}} for port in ports]
    disabled = rules[0] if len(rules) == 1 else {"or_match": {"rules": rules}}
    return {**listener_filter, "filter_disabled": disabled}


def _matcher(places: Iterable[_Place]) -> Doc:
    """An address or name that two claim is the first one's."""
    by_name: dict[str, Doc] = {}
    by_address: list[tuple[tuple[str, ...], Doc]] = []
    taken: set[str] = set()
    for place in places:
        for name, leaf in place.names:
            by_name.setdefault(name, leaf)
        own = tuple(address for address in place.addresses if address not in taken)
        taken.update(own)
        by_address.append((own, place.ports))
    if not any(blocks for blocks, _ in by_address):
        return chains.by_authority(terminate.FS_AUTHORITY, by_name, None)
    return chains.by_authority(terminate.FS_AUTHORITY, by_name, tree(chains.by_address(by_address)))


def _chain_name(service: ServedService, port: ServedPort, kind: str) -> str:
    return f"inbound-vip|{port.port}|{kind}|{service.hostname}"


def _leaf(service: ServedService, port: ServedPort) -> Doc:
    rest = _chosen(service, port, "", port.server_names)
    if not port.callers:
        return rest
    own = [(each.namespace, _chosen(service, port, f"|{each.namespace}", each.server_names)) for each in port.callers]
    return tree(chains.by_caller(FS_PRINCIPAL, own, rest))


def _chosen(service: ServedService, port: ServedPort, whose: str, server_names: Names) -> Doc:
    """`whose`: what names of chains for callers of a namespace end with."""
    http = chain(_chain_name(service, port, "http"))
    tcp = chain(_chain_name(service, port, "tcp") + whose)
    if port.protocol == "auto":
        if not port.virtual_hosts:
            found = tcp
        else:
            found = tree(chains.by_protocol(_chain_name(service, port, "http"), tcp))
    else:
        found = http if may_be_http(port.protocol) else tcp
    if not server_names:
        return found
    named = [
        (wanted, chain(f"{_chain_name(service, port, 'tls')}{whose}|{number}"))
        for number, (wanted, _) in enumerate(server_names)
    ]
    return tree(chains.by_server_name(named, found))


def _ports(workload: ServedWorkload) -> Doc:
    http, tcp = f"direct-http|{workload.uid}", chain(f"direct-tcp|{workload.uid}")
    known = {port: chain(http) if may_be_http(kind) else tcp for port, kind in workload.ports if kind != "auto"}
    known |= dict.fromkeys(workload.refused, chain(REFUSED))
    rest = tree(chains.by_protocol(http, tcp))
    return chains.by_port(known, rest) if known else rest["matcher"]


# Chains ---


def _refusing() -> Doc:
    """The end of connections that got past a policy: closed, for a service's policies are not known here by address."""
    return {"name": REFUSED, "filters": [_BLACKHOLE]}


def _point(ctx: Context, service: dict[str, str]) -> Point:
    found = points.waypoint(service, terminate.IDENTITY)
    return Point(found.reporter, found.side, terminate.source_labels(), found.destination, service, "mutual_tls")


def _service_chains(ctx: Context, service: ServedService, port: ServedPort, routed: list[Doc]) -> Iterator[Doc]:
    point = _point(ctx, points.service(service.hostname, service.name, service.namespace))
    duty = Duty(point, service.enforced, "state")
    if may_be_http(port.protocol) and (port.virtual_hosts or port.protocol != "auto"):
        name = _chain_name(service, port, "http")
        counts = limits.per_route(service.enforced.limits)
        routed.append(routes.configuration(ctx, name, port.virtual_hosts, port.port, **counts))
        http = manager.http(ctx, name, name, Needs.of(port.virtual_hosts), duty, port.port)
        yield {"name": name, "filters": [*limits.connections(service.enforced.limits, name), http]}
    yield from _connection_chains(ctx, service, port, duty, Connections("", port.destinations, port.server_names))
    for each in port.callers:
        yield from _connection_chains(ctx, service, port, duty, each)


def _connection_chains(
    ctx: Context, service: ServedService, port: ServedPort, duty: Duty, found: Connections
) -> Iterator[Doc]:
    """Of callers of one namespace, "" of all others."""
    whose = f"|{found.namespace}" if found.namespace else ""
    if port.protocol == "auto" or not may_be_http(port.protocol):
        name = _chain_name(service, port, "tcp") + whose
        filters = manager.tcp(ctx, name, duty, found.destinations, protocol=port.protocol)
        yield {"name": name, "filters": filters}
    for number, (_, destinations) in enumerate(found.server_names):
        name = f"{_chain_name(service, port, 'tls')}{whose}|{number}"
        yield {"name": name, "filters": manager.tcp(ctx, name, duty, destinations)}


def _workload_chains(ctx: Context, workload: ServedWorkload, routed: list[Doc]) -> Iterator[Doc]:
    """To the address and port that were asked for: both come from the connection, so they must part the pools."""
    point = _point(ctx, dict.fromkeys(("service", "service_name", "service_namespace"), "unknown"))
    duty = Duty(point, workload.enforced, "state")
    cluster, name = f"direct|{workload.uid}", f"direct-http|{workload.uid}"
    action = {"match": {"prefix": "/"}, "name": "default", "route": {"cluster": cluster, "timeout": "0s"}}
    host = {"name": cluster, "domains": ["*"], "routes": [action]}
    counts = limits.per_route(workload.enforced.limits)
    routed.append({"name": name, "virtual_hosts": [host], "validate_clusters": False, **counts})
    http = manager.http(ctx, name, name, Needs(), duty, 0)
    http["typed_config"]["http_filters"].insert(-1, _target("http"))
    yield {"name": name, "filters": [*limits.connections(workload.enforced.limits, name), http]}
    tcp = manager.tcp(ctx, f"direct-tcp|{workload.uid}", duty, cluster)
    yield {"name": f"direct-tcp|{workload.uid}", "filters": [_target("network"), *tcp]}


def _target(kind: str) -> Doc:
    states = [
        state(_FS_LOCAL, "%DOWNSTREAM_LOCAL_ADDRESS%", _FS_LOCAL, "ONCE"),
        state(_FS_TARGET, "%DOWNSTREAM_LOCAL_ADDRESS%", "envoy.hashable_string", "ONCE"),
    ]
    field = "on_request_headers" if kind == "http" else "on_new_connection"
    config = f"envoy.extensions.filters.{kind}.set_filter_state.v3.Config"
    return extension("plait.destination", config, **{field: states})


def _direct(ctx: Context, workload: ServedWorkload) -> Doc:
    """The cluster of one workload's own addresses; a tunnel gets its target from the connection."""
    name, end = f"direct|{workload.uid}", workload.endpoint
    pool = narrowed(None, workload.enforced.limits)
    common: Doc = {
        "name": name,
        "alt_stat_name": statistics.delimited(name),
        "connect_timeout": seconds(ctx.settings.connect_timeout),
        "circuit_breakers": UNLIMITED if pool is None else balancing.breakers(pool, None, ctx, ""),
        "typed_extension_protocol_options": {
            upstreams.OPTIONS: {
                "@type": f"type.googleapis.com/{upstreams.OPTIONS}",
                "use_downstream_protocol_config": {"http_protocol_options": HTTP1, "http2_protocol_options": {}},
            }
        },
    }
    if end.way != "tunnel":
        return {**common, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"}
    document = endpoints.endpoint(end)
    document["endpoint"]["address"]["envoy_internal_address"]["endpoint_id"] = workload.uid
    del document["metadata"]["filter_metadata"][names.MD_ORIGINAL_DST]
    return {
        **common,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [document]}]},
        "transport_socket": through_internal_listener(RAW),
    }
