"""Every name Envoy will see from us: clusters, listeners, routes, secrets, filter state keys, metadata, types.

Istio's names are kept where Istio has one. Names that carry a pod carry its UID, so a NACK can be traced to the pod.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from plait.base import type_urls

CLUSTER: Final = type_urls.CLUSTER
LISTENER: Final = type_urls.LISTENER
ROUTE: Final = type_urls.ROUTES
EXTENSION: Final = type_urls.EXTENSION
SECRET: Final = type_urls.SECRET
BOOTSTRAP: Final = type_urls.PREFIX + "envoy.config.bootstrap.v3.Bootstrap"

# Clusters every node proxy has.
HBONE: Final = "connect_originate"
PASSTHROUGH: Final = "PassthroughCluster"
INBOUND: Final = "InboundPassthroughCluster"
INBOUND_PLAINTEXT: Final = "InboundPlaintextCluster"  # node-level capture only
BLACKHOLE: Final = "BlackHoleCluster"
XDS: Final = "xds"

# The internal listener that wraps a connection into a tunnel, and secrets served beside one certificate per identity.
TUNNEL_LISTENER: Final = "connect_originate"
ROOT_SECRET: Final = "ROOTCA"
NO_SECRET: Final = "none"

# Keys and namespaces that Envoy reads.
FS_ORIGIN: Final = "plait.origin"
FS_REMOTE: Final = "envoy.filters.listener.original_dst.remote_ip"
FS_NETNS: Final = "envoy.network.upstream_bind_override.network_namespace"
FS_SECRET: Final = "envoy.tls.certificate_mappers.on_demand_secret"
FS_CLUSTER: Final = "envoy.tcp_proxy.cluster"
FS_SANS: Final = "envoy.network.upstream_subject_alt_names"
FS_TARGET: Final = "envoy.network.transport_socket.original_dst_address"
MD_ORIGINAL_DST: Final = "envoy.filters.listener.original_dst"
MD_SOCKET_MATCH: Final = "envoy.transport_socket_match"
# Ours: MD_TUNNEL (of the endpoint) and MD_SERVICE (of the cluster) travel with the connection into the internal
# listener, MD_PEER stays outside (telemetry only).
MD_TUNNEL: Final = "plait.tunnel"
MD_SERVICE: Final = "plait.service"
MD_PEER: Final = "plait.peer"
MD_ON_DEMAND: Final = "plait.on-demand"
"""Of a cluster: whoever serves it to the proxy may wait until it is asked for."""
FS_BAGGAGE: Final = "plait.baggage"
FS_FORWARDED: Final = "plait.forwarded"
FS_SERVICE: Final = "plait.destination."  # and the label: service, service_name, service_namespace

ON_DEMAND: Final = "out|"


def on_demand(address: str, port: int) -> str:
    """The cluster asked for at the first connection to address:port."""
    return f"{ON_DEMAND}{authority(address, port)}"


def destination_of(cluster: str) -> tuple[str, int] | None:
    """Address and port of an on-demand cluster name; None when it is not one."""
    if not cluster.startswith(ON_DEMAND):
        return None
    host, _, port = cluster.removeprefix(ON_DEMAND).rpartition(":")
    try:
        address, number = ip_address(host.removeprefix("[").removesuffix("]")), int(port)
    except ValueError:
        return None
    return (str(address), number) if 0 < number < 65536 else None


def authority(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def outbound_listener(uid: str) -> str:
    return f"outbound|{uid}"


def hbone_listener(uid: str) -> str:
    return f"hbone|{uid}"


def plaintext_listener(uid: str) -> str:
    return f"inbound|{uid}"


def inbound_route(uid: str) -> str:
    return f"hbone|{uid}"


def deny_filter(uid: str) -> str:
    return f"deny|{uid}"


def allow_filter(uid: str) -> str:
    return f"allow|{uid}"


def service_filter(uid: str) -> str:
    return f"service|{uid}"


def pod_of(name: str) -> str | None:
    """UID of the pod a listener, route or filter name belongs to; None for shared ones."""
    kind, bar, uid = name.partition("|")
    return uid if bar and kind in ("outbound", "hbone", "inbound", "deny", "allow", "service") else None
