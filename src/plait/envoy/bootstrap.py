"""What an Envoy of the node role is started with: bootstrap JSON and command line. Everything else comes by ADS.

Regular resources, on-demand clusters and secrets all travel on one delta ADS stream over the agent's unix socket.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from plait.base import regexes
from plait.envoy import names
from plait.envoy.pieces import ADS, UNLIMITED, Doc, any_of, extension

_MONITOR = "envoy.resource_monitors"
_RUNTIME: Doc = {
    "re2.max_program_size.error_level": regexes.PROGRAM_SIZE,
    # A server that closes first makes the destination end the CONNECT stream with END_STREAM and then RST_STREAM. By
    # default (since 1.38) the source turns any reset into a TCP RST, which throws away what the client has not yet been
    # sent. Off, the client gets every byte and a FIN; the price: a server's RST also arrives as a FIN.
    "envoy.reloadable_features.propagate_upstream_rst_through_tunneled_tcp_proxy": False,
}


RUNTIME: Doc = {"layers": [{"name": "static", "static_layer": _RUNTIME}]}


@dataclass(frozen=True, slots=True)
class NodeBootstrap:
    """`admin` is a socket path, or `ip:port` in Envoy's own namespace. `heap_limit` guards memory."""

    node_id: str
    xds_socket: str
    admin: str
    cluster: str = "ztunnel"
    concurrency: int = 1
    heap_limit: int = 1 << 30
    max_connections: int = 100_000
    drain_seconds: int = 45
    nameserver: str = ""
    """Whom to ask for the DNS names of endpoints; "" for the machine's own."""
    metadata: dict[str, Any] = field(default_factory=dict)


def bootstrap(wanted: NodeBootstrap) -> Doc:
    """The bootstrap document."""
    return {
        "typed_dns_resolver_config": _resolver(wanted.nameserver),
        "node": {"id": wanted.node_id, "cluster": wanted.cluster, "metadata": wanted.metadata},
        "admin": {"address": _address(wanted.admin)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": names.XDS}}],
            },
            "cds_config": ADS,
            "lds_config": ADS,
        },
        "static_resources": {"clusters": [_xds(wanted.xds_socket)]},
        "bootstrap_extensions": [
            extension(
                "envoy.bootstrap.internal_listener",
                "envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
                buffer_size_kb=1024,
            )
        ],
        # A destination's own counters would double what it costs; telemetry counts connections by peer instead.
        "stats_config": {"stats_matcher": {"exclusion_list": {"patterns": [{"prefix": f"cluster.{names.ON_DEMAND}"}]}}},
        "stats_flush_interval": "5s",
        "stats_eviction_interval": "3600s",
        "overload_manager": _overload(wanted),
        "layered_runtime": RUNTIME,
    }


def text(wanted: NodeBootstrap) -> str:
    """The bootstrap as the file Envoy reads (JSON)."""
    return json.dumps(bootstrap(wanted), indent=1, sort_keys=True)


def arguments(wanted: NodeBootstrap, path: str, *, base_id: int, epoch: int = 0, level: str = "warning") -> list[str]:
    """Envoy's arguments for a bootstrap file at `path`, the program's name not included."""
    return [
        *("--config-path", path),
        *("--concurrency", str(wanted.concurrency)),
        *("--base-id", str(base_id)),
        *("--restart-epoch", str(epoch)),
        *("--drain-time-s", str(wanted.drain_seconds)),
        *("--drain-strategy", "immediate"),
        *("--file-flush-interval-msec", "1000"),  # access log lines are buffered; ten seconds by default
        *("--log-level", level),
        *("--log-format", "%Y-%m-%dT%T.%e %l %n %v"),
    ]


def _address(where: str) -> Doc:
    if where.startswith(("/", "@")):
        return {"pipe": {"path": where, "mode": 0o600}}
    host, _, port = where.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def _resolver(nameserver: str) -> Doc:
    """Gives a name up after some three seconds, not 75: a proxy that starts waits for every name."""
    asked: Doc = {
        "resolvers": [{"socket_address": {"address": nameserver, "port_value": 53}}],
        "dns_resolver_options": {"no_default_search_domain": True},
    }
    return extension(
        "envoy.network.dns_resolver.cares",
        "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
        query_timeout_seconds=1,
        query_tries=2,
        **(asked if nameserver else {}),
    )


def _xds(socket: str) -> Doc:
    return {
        "name": names.XDS,
        "type": "STATIC",
        "connect_timeout": "2s",
        "circuit_breakers": UNLIMITED,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": any_of(
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                explicit_http_config={"http2_protocol_options": {}},
            )
        },
        "load_assignment": {
            "cluster_name": names.XDS,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": socket}}}}]}],
        },
    }


def _overload(wanted: NodeBootstrap) -> Doc:
    heap = f"{_MONITOR}.fixed_heap"
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            extension(
                heap,
                "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                max_heap_size_bytes=wanted.heap_limit,
            ),
            extension(
                f"{_MONITOR}.global_downstream_max_connections",
                "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=wanted.max_connections,
            ),
        ],
        "actions": [
            {"name": "envoy.overload_actions.shrink_heap", "triggers": [_over(heap, 0.8)]},
            {"name": "envoy.overload_actions.stop_accepting_connections", "triggers": [_over(heap, 0.95)]},
            {"name": "envoy.overload_actions.stop_accepting_requests", "triggers": [_over(heap, 0.98)]},
        ],
        "loadshed_points": [{"name": "envoy.load_shed_points.tcp_listener_accept", "triggers": [_over(heap, 0.97)]}],
    }


def _over(monitor: str, value: float) -> Doc:
    return {"name": monitor, "threshold": {"value": value}}
