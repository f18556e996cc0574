"""One HTTP connection manager: filters in their order, routes by name, paths normalised, logs, metrics and spans.

And its plain sibling, the TCP chain with the policies that hold for connections.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from plait.base.format_strings import literal
from plait.envoy import names
from plait.envoy.l7 import (
    access_logs,
    authorization,
    external,
    limits,
    metrics,
    pinning,
    plugins,
    protocols,
    routes,
    spans,
    statistics,
    tokens,
)
from plait.envoy.l7.context import Context, seconds
from plait.envoy.l7.duty import Duty
from plait.envoy.l7.order import ORDER, Slot
from plait.envoy.pieces import ADS, HTTP1, STALLED, Doc, any_of, extension, shared
from plait.model.http_services import PortProtocol
from plait.model.l7 import ProxyHeaders
from plait.model.routes import Destination, VirtualHost
from plait.model.traffic import Pool

_HTTP = "envoy.extensions.filters.http"
_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TCP_PROXY = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
_PHASES: dict[Slot, str] = {"authn_plugins": "authn", "authz_plugins": "authz", "stats_plugins": "stats", "plugins": ""}
"""Where plugins of each phase stand."""
_FIXED: dict[Slot, Doc] = {
    "cors": extension(routes.CORS, f"{_HTTP}.cors.v3.Cors"),
    "fault": extension(routes.FAULT, f"{_HTTP}.fault.v3.HTTPFault"),
    "grpc_stats": extension(
        "envoy.filters.http.grpc_stats",
        f"{_HTTP}.grpc_stats.v3.FilterConfig",
        emit_filter_state=True,
        stats_for_all_methods=False,
    ),
    "grpc_web": extension("envoy.filters.http.grpc_web", f"{_HTTP}.grpc_web.v3.GrpcWeb"),
    "router": extension("envoy.filters.http.router", f"{_HTTP}.router.v3.Router"),
}

_ASKED = "5s"  # how long a request waits for a cluster it is the first to need
_ON_DEMAND = extension(
    "envoy.filters.http.on_demand", f"{_HTTP}.on_demand.v3.OnDemand", odcds={"source": ADS, "timeout": _ASKED}
)


class Needs(NamedTuple):
    """What routes need a filter for."""

    authorizers: frozenset[str] = frozenset()
    """External ones, that routes name."""
    sessions: bool = False

    @classmethod
    def of(cls, hosts: Iterable[VirtualHost]) -> Needs:
        every = [route for host in hosts for route in host.routes]
        named = frozenset([each.external_authorization for each in every if each.external_authorization])
        return cls(named, any(each.session is not None for each in every))


def http(
    ctx: Context,
    name: str,
    route: str,
    needs: Needs,
    duty: Duty,
    port: int,
    *,
    codec: str = "AUTO",
    pinned: bool = False,
    **more: Any,
) -> Doc:
    """The filter, with the routes of the name `route` and what they need; `more` are fields of the connection
    manager."""
    point, telemetry = duty.point, duty.enforced.telemetry
    document: Doc = {
        "stat_prefix": statistics.delimited(name),
        "codec_type": codec,
        "rds": {"route_config_name": route, "config_source": ADS},
        **_headers(ctx.settings.headers),
        "http_filters": [*map(shared, filters(ctx, needs, duty, port, pinned=pinned))],
        "access_log": [
            *map(shared, access_logs.logs(ctx, telemetry, point)),
            *map(shared, metrics.metrics(ctx, telemetry, point)),
        ],
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_protocol_options": HTTP1,
        "stream_idle_timeout": "0s",
        "request_headers_timeout": STALLED,
        "strip_trailing_host_dot": True,  # the same host: a policy or a route that names it is not got around by a dot
        **_paths(ctx),
        **more,
    }
    if (traced := spans.tracing(ctx, telemetry, point)) is not None:
        document["tracing"] = traced
        if (extension_ := spans.request_ids(telemetry, point)) is not None:
            document["request_id_extension"] = extension_
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": any_of(_HCM, **document)}


def _headers(wanted: ProxyHeaders) -> Doc:
    """Which headers the manager writes. A server's name that is not to be written is the application's own."""
    server: Doc = {"server_header_transformation": "PASS_THROUGH"}
    if wanted.server is not None:
        server = {"server_name": wanted.server}
    ids = {} if wanted.request_id else {"generate_request_id": False}
    return {**server, **ids, **({"append_x_forwarded_port": True} if wanted.forwarded_port else {})}


def _paths(ctx: Context) -> Doc:
    match ctx.settings.path_normalization:
        case "none":
            return {"normalize_path": False}
        case "base":
            return {"normalize_path": True}
        case "merge_slashes":
            return {"normalize_path": True, "merge_slashes": True}
        case _:
            slashes = {"path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD"}
            return {"normalize_path": True, "merge_slashes": True, **slashes}


def filters(ctx: Context, needs: Needs, duty: Duty, port: int, *, pinned: bool = False) -> list[Doc]:
    """Every slot of the order, filled as policies, plugins and routes ask."""
    enforced, where, side = duty.enforced, duty.where, duty.point.side
    filled: dict[Slot, list[Doc]] = {slot: [filter_] for slot, filter_ in _FIXED.items()}
    if not ctx.settings.headers.debug:
        filled["router"] = [
            extension("envoy.filters.http.router", f"{_HTTP}.router.v3.Router", suppress_envoy_headers=True)
        ]
    for slot, phase in _PHASES.items():
        filled[slot] = plugins.filters(ctx, enforced.plugins, phase, side, port)
    if duty.enforces:
        filled["external"] = external.custom(ctx, enforced.policies, enforced.authorizers, where)
        filled["tokens"] = tokens.filters(ctx, enforced.authentication)
        filled["authorization"] = authorization.filters(enforced.policies, where)
        filled["limits"] = limits.http(ctx, enforced.limits)
    filled["route_external"] = external.for_routes(ctx, enforced.authorizers, needs.authorizers)
    if ctx.lazy and side == "client":
        filled["on_demand"] = [_ON_DEMAND]
    if pinned:
        filled["pinned"] = pinning.requests()
    if needs.sessions:
        filled["session"] = [extension(routes.SESSION, f"{_HTTP}.stateful_session.v3.StatefulSession")]
    return [filter_ for slot in ORDER for filter_ in filled.get(slot, [])]


# Connections ---


def tcp(
    ctx: Context,
    name: str,
    duty: Duty,
    to: str | Sequence[Destination],
    *,
    pool: Pool | None = None,
    counted: str = "",
    protocol: PortProtocol = "tcp",
    pinned: str = "",
) -> list[Doc]:
    """Network filters ending in a proxy to one cluster, or to weighted destinations (of `protocol`, if it has one).

    Chains of one name `counted` share the rate of their connections; `pinned` is the one endpoint that was dialed.
    """
    point, enforced, where = duty.point, duty.enforced, duty.where
    destinations = () if isinstance(to, str) else tuple(to)
    chain: list[Doc] = []
    if duty.enforces:
        chain += limits.connections(enforced.limits, counted or name)
        chain += external.custom(ctx, enforced.policies, enforced.authorizers, where, http=False)
        chain += authorization.filters(enforced.policies, where, http=False)
    guarded = any(each["name"] not in limits.AT_ONCE for each in chain)
    chain += [
        made
        for phase in ("authn", "authz", "stats", "")
        for made in plugins.filters(ctx, enforced.plugins, phase, point.side, 0, network=True)
    ]
    chain += protocols.listening(protocol, name)
    logs = access_logs.logs(ctx, enforced.telemetry, point, http=False)
    if (served := protocols.serving(ctx, protocol, name, tuple(_live(ctx, destinations)), logs)) is not None:
        return [*chain, served]
    proxy: Doc = {
        "stat_prefix": statistics.delimited(name),
        **({"cluster": to} if isinstance(to, str) else _to(ctx, destinations)),
    }
    if any(ctx.waits(each) for each in destinations):
        proxy["on_demand"] = {"odcds_config": ADS, "timeout": _ASKED}
    if pinned:
        proxy |= pinning.connection(pinned)
    if pool is None:
        pool = next((found.policy.pool for each in destinations if (found := ctx.upstream(each)) is not None), None)
    idle = pool.tcp_idle_timeout if pool is not None else None
    if idle is not None:  # else an hour, which is Envoy's word and Istio's
        proxy["idle_timeout"] = seconds(idle)
    if pool is not None and pool.max_connection_duration is not None:
        proxy["max_downstream_connection_duration"] = seconds(pool.max_connection_duration)
    proxy["access_log"] = [
        *map(shared, logs),
        *map(shared, metrics.metrics(ctx, enforced.telemetry, point, http=False)),
    ]
    proxy["access_log_options"] = {"flush_access_log_on_connected": True}
    if guarded:
        # The network filters decide at the first byte; by then the proxy would have connected, and a server that
        # speaks first would have been heard by somebody who is refused.
        proxy |= {"upstream_connect_mode": "ON_DOWNSTREAM_DATA", "max_early_data_bytes": 65536}
    return [*chain, {"name": "envoy.filters.network.tcp_proxy", "typed_config": any_of(_TCP_PROXY, **proxy)}]


def _live(ctx: Context, destinations: Iterable[Destination]) -> list[Destination]:
    return [each for each in destinations if each.weight > 0 and ctx.known(each)]


def _to(ctx: Context, destinations: Sequence[Destination]) -> Doc:
    """The share of a destination that leads nowhere is refused, not given to the others."""
    live = _live(ctx, destinations)
    lost = sum(each.weight for each in destinations) - sum(each.weight for each in live)
    tunnel: Doc = {}
    policy = next((found.policy.tunnel for each in live if (found := ctx.upstream(each)) is not None), None)
    if policy is not None:
        authority = f"{literal(policy.host)}:{policy.port}"
        tunnel["tunneling_config"] = {"hostname": authority, "use_post": policy.method == "POST"}
    hashed = [
        found
        for each in live
        if (found := ctx.upstream(each)) is not None
        and found.policy.balancing is not None
        and found.policy.balancing.hash is not None
        and found.policy.balancing.hash.source_ip
    ]
    if hashed:
        tunnel["hash_policy"] = [{"source_ip": {}}]
    if not live:
        return {"cluster": names.BLACKHOLE}
    if len(live) == 1 and not lost:
        return {"cluster": ctx.tcp_cluster_of(live[0]), **tunnel}
    weighted = [{"name": ctx.tcp_cluster_of(each), "weight": each.weight} for each in live]
    if lost:
        weighted.append({"name": names.BLACKHOLE, "weight": lost})
    return {"weighted_clusters": {"clusters": weighted}, **tunnel}
