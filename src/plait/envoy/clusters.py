"""Clusters of a node proxy: the four every node has, and the answer to an on-demand name `out|ip:port`.

A destination's cluster lists its endpoints: tunnel endpoints are addresses of the internal listener, with what the
tunnel needs as endpoint metadata; plain ones are sockets opened inside the source pod. One cluster may mix both.
"""

from __future__ import annotations

from plait.base.wellknown import (
    CLASSIC_LOCAL_MARK,
    CLASSIC_MARK,
    CLASSIC_TUNNEL_MARK,
    HBONE_PORT,
    PROXY_MARK,
    TUNNEL_MARK,
)
from plait.envoy import names, telemetry, tls, tunnels
from plait.envoy.pieces import UNLIMITED, Constant, Doc, bind_inside_pod, socket_address
from plait.model.views.destinations import Destination, Endpoint
from plait.model.views.node import Families

_KEEPALIVE: Doc = Constant({"tcp_keepalive": {"keepalive_time": 60, "keepalive_interval": 15, "keepalive_probes": 4}})
_LOOKED_UP: Doc = Constant(
    {
        "respect_dns_ttl": True,
        "dns_refresh_rate": "5s",
        "dns_failure_refresh_rate": {"base_interval": "1s", "max_interval": "10s"},
    }
)
_LOOKUP: dict[Families, str] = {"ipv4": "V4_ONLY", "ipv6": "V6_ONLY", "dual": "V4_PREFERRED"}


def shared(*, dual: bool = False) -> list[Doc]:
    """What every node proxy has whatever its pods do. `dual`: they may have addresses of IPv6."""
    return [passthrough(dual=dual), inbound(dual=dual), hbone(dual=dual), blackhole(names.BLACKHOLE)]


def classic(*, dual: bool = False) -> list[Doc]:
    """The same for node-level capture: other marks, and sockets towards an application apart from those to peers."""
    peer, application = bind_inside_pod(CLASSIC_LOCAL_MARK, dual=dual), bind_inside_pod(CLASSIC_MARK, dual=dual)
    return [
        {**passthrough(), "upstream_bind_config": peer},
        {**passthrough(), "name": names.INBOUND_PLAINTEXT, "upstream_bind_config": application},
        {**inbound(), "upstream_bind_config": bind_inside_pod(CLASSIC_TUNNEL_MARK, dual=dual)},
        {**hbone(), "upstream_bind_config": peer},
        blackhole(names.BLACKHOLE),
    ]


def _original_dst(name: str, *, dual: bool = False) -> Doc:
    # The default breakers (1024 per cluster) would count every connection of the node against one number.
    return {
        "name": name,
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": "5s",
        "cleanup_interval": "5s",
        "upstream_bind_config": bind_inside_pod(dual=dual),
        "upstream_connection_options": _KEEPALIVE,
        "circuit_breakers": UNLIMITED,
    }


def passthrough(*, dual: bool = False) -> Doc:
    """To the original destination, untouched."""
    return _original_dst(names.PASSTHROUGH, dual=dual)


def inbound(*, dual: bool = False) -> Doc:
    """From a tunnel to the application: the authority of the CONNECT, which the route has pinned to the pod itself."""
    return {
        **_original_dst(names.INBOUND),
        "upstream_bind_config": bind_inside_pod(TUNNEL_MARK, dual=dual),
        "original_dst_lb_config": {"use_http_header": True, "http_header_name": ":authority"},
    }


def hbone(*, dual: bool = False) -> Doc:
    """Every tunnel of the node: peer, certificate and expected SAN all come from the connection."""
    return {
        **_original_dst(names.HBONE, dual=dual),
        "connect_timeout": "10s",  # a waypoint may first have to start
        "cleanup_interval": "30s",
        "original_dst_lb_config": {"upstream_port_override": HBONE_PORT},
        "typed_extension_protocol_options": tunnels.http2(interval="30s", timeout="10s"),
        "transport_socket": tls.upstream(),
    }


def blackhole(name: str) -> Doc:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": []},
    }


def destination(name: str, found: Destination, mark: int = PROXY_MARK, *, families: Families = "ipv4") -> Doc:
    """The cluster for one original destination. Always an answer: Envoy asks for a name once per process."""
    ends = [Endpoint(found.address, found.port)] if found.passthrough else list(found.endpoints)
    if any(end.tunnel for end in ends):
        ends = [end for end in ends if not end.named]  # a cluster that looks names up takes no tunnels
    named = any(end.named for end in ends)
    cluster: Doc = {
        "name": name,
        "type": "STRICT_DNS" if named else "STATIC",
        **({"dns_lookup_family": _LOOKUP[families], **_LOOKED_UP} if named else {}),
        "lb_policy": "LEAST_REQUEST" if len(ends) > 1 else "ROUND_ROBIN",
        "connect_timeout": "5s",
        "circuit_breakers": UNLIMITED,
        "metadata": {
            "filter_metadata": {
                names.MD_PEER: telemetry.service_labels(found),
                names.MD_SERVICE: {"forwarded": telemetry.forwarded_host(found)},
            }
        },
        "load_assignment": {"cluster_name": name, "endpoints": _by_priority(ends)},
    }
    tunnels = [end for end in ends if end.tunnel]
    if len(tunnels) < len(ends):
        cluster["upstream_bind_config"] = bind_inside_pod(mark, dual=families != "ipv4")
        cluster["upstream_connection_options"] = _KEEPALIVE
    if tunnels and len(tunnels) == len(ends):
        cluster["transport_socket"] = _THROUGH_INTERNAL_LISTENER
    elif tunnels:
        cluster["transport_socket_matches"] = [
            {"name": "tunnel", "match": {"tunnel": "h2"}, "transport_socket": _THROUGH_INTERNAL_LISTENER}
        ]
    return cluster


def _by_priority(ends: list[Endpoint]) -> list[Doc]:
    """Endpoint groups; Envoy wants priorities without gaps."""
    ranks = sorted({end.priority for end in ends})
    return [
        {"priority": number, "lb_endpoints": [_endpoint(end) for end in ends if end.priority == rank]}
        for number, rank in enumerate(ranks)
    ]


def _endpoint(end: Endpoint) -> Doc:
    metadata: Doc = {names.MD_PEER: telemetry.peer_labels(end.peer, "mutual_tls" if end.tunnel else "none")}
    document: Doc = {
        "endpoint": {"address": socket_address(end.address, end.port)},
        "metadata": {"filter_metadata": metadata},
    }
    if end.weight != 1:
        document["load_balancing_weight"] = max(end.weight, 1)
    if end.tunnel:
        target = names.authority(end.address, end.port)
        document["endpoint"]["address"] = {
            "envoy_internal_address": {
                "server_listener_name": names.TUNNEL_LISTENER,
                "endpoint_id": f"{target}@{end.via}" if end.via else target,
            }
        }
        # Of an empty list of identities nobody can be one: the listener then expects "-".
        tunnel = {"identity": ",".join(end.identities)} if end.identities else {}
        metadata[names.MD_ORIGINAL_DST] = {"local": target}
        metadata[names.MD_TUNNEL] = {**tunnel, "via": end.via} if end.via else tunnel
        metadata[names.MD_SOCKET_MATCH] = {"tunnel": "h2"}
    return document


_THROUGH_INTERNAL_LISTENER: Doc = Constant(tunnels.through_internal_listener(tunnels.RAW))
