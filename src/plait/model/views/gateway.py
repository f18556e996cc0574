"""GatewayView: what one edge proxy serves. The whole input of its translation, for both gateway APIs.

The nouns; `gateway_projection.project` makes them.
"""

from __future__ import annotations

from msgspec import Struct

from plait.model.gateways import Protocol, ServerTls
from plait.model.l7 import L7Settings
from plait.model.proxies import Proxy
from plait.model.routes import Destination, VirtualHost
from plait.model.views.enforced import Enforced
from plait.model.views.upstreams import Upstream


class TcpChain(Struct, frozen=True):
    """Connections (of these server names; none: all) to weighted destinations."""

    server_names: tuple[str, ...]
    destinations: tuple[Destination, ...]
    tls: ServerTls | None = None
    """Terminate first; None: plain TCP, or TLS passed through when there are server names."""
    name: str = ""
    sources: tuple[str, ...] = ()
    """CIDRs of clients."""
    addresses: tuple[str, ...] = ()
    """CIDRs of destinations."""


class HttpChain(Struct, frozen=True):
    """HTTP of these server names (TLS) or of the whole port (plain). One route configuration."""

    server_names: tuple[str, ...]
    virtual_hosts: tuple[VirtualHost, ...]
    tls: ServerTls | None = None
    name: str = ""
    """Of the route configuration: `http.<port>` or `https.<port>.<port name>.<gateway>.<namespace>`."""


class ServerPort(Struct, frozen=True):
    """One socket."""

    port: int
    bind: str
    protocol: Protocol
    http: tuple[HttpChain, ...] = ()
    tcp: tuple[TcpChain, ...] = ()
    passed: tuple[tuple[str, int, str], ...] = ()
    """Keys of the view's `passed` that this port leads to (AUTO_PASSTHROUGH)."""
    unpassed: tuple[str, ...] = ()
    """Hosts that it would lead to but for their waypoint."""
    servers: tuple[int, ...] = ()
    """Ports of the servers that lead here, where those are others than `port`."""
    refused: tuple[str, ...] = ()
    """Gateways (`Gateway/ns/name`) with a server that would need another protocol here: the oldest one's is served."""


class GatewayView(Struct, frozen=True):
    proxy: Proxy
    settings: L7Settings
    ports: tuple[ServerPort, ...]
    upstreams: tuple[Upstream, ...]
    enforced: Enforced
    secrets: tuple[str, ...] = ()
    """Every credential that is named ("ns/name", "configmap:ns/name"): what the secret server must be able to give."""
    passed: tuple[Upstream, ...] = ()
    """Where TLS is passed on by the names of clusters, unopened; their keys may be those of `upstreams` too."""
