"""connect_originate: the internal listener and cluster through which an L7 proxy sends into tunnels, as itself."""

from __future__ import annotations

from plait.base.format_strings import literal
from plait.base.wellknown import HBONE_PORT
from plait.envoy import names, tunnels
from plait.envoy.l7 import tls
from plait.envoy.l7.points import baggage
from plait.envoy.pieces import UNLIMITED, Doc, extension, state
from plait.model.proxies import Proxy

ORIGINAL_DST = extension(
    "envoy.filters.listener.original_dst", "envoy.extensions.filters.listener.original_dst.v3.OriginalDst"
)


def listener(proxy: Proxy) -> Doc:
    """An absent identity prints as "-", which no certificate carries: the handshake fails and nothing is sent."""
    states = extension(
        "envoy.filters.network.set_filter_state",
        "envoy.extensions.filters.network.set_filter_state.v3.Config",
        on_new_connection=[
            state(names.FS_SANS, f"%DYNAMIC_METADATA({names.MD_TUNNEL}:identity)%", names.FS_SANS, "ONCE"),
            state(names.FS_TARGET, f"%DYNAMIC_METADATA({names.MD_TUNNEL}:via)%", names.FS_TARGET, optional=True),
        ],
    )
    onward = extension(
        "envoy.filters.network.tcp_proxy",
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        stat_prefix=names.TUNNEL_LISTENER,
        cluster=names.HBONE,
        idle_timeout="0s",
        tunneling_config={
            "hostname": "%DOWNSTREAM_LOCAL_ADDRESS%",
            "headers_to_add": [
                {"header": {"key": "x-istio-source", "value": proxy.role}},
                {"header": {"key": "baggage", "value": literal(baggage(proxy))}},
            ],
        },
    )
    return {
        "name": names.TUNNEL_LISTENER,
        "internal_listener": {},
        "stat_prefix": names.TUNNEL_LISTENER,
        "listener_filters": [ORIGINAL_DST],
        "filter_chains": [{"name": "default", "filters": [states, onward]}],
    }


def cluster() -> Doc:
    return {
        "name": names.HBONE,
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": "10s",  # a waypoint may first have to start
        "cleanup_interval": "60s",
        "circuit_breakers": UNLIMITED,
        "original_dst_lb_config": {"upstream_port_override": HBONE_PORT},
        "typed_extension_protocol_options": tunnels.http2(interval="10s", timeout="20s"),
        "transport_socket": tls.workload_client((), "", ["h2"], hbone=True),
    }
