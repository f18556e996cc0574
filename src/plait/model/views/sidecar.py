"""SidecarView: what one pod may see and must enforce. The whole input of translating its sidecar.

The nouns; `outbound_projection.project` makes the half that a pod calls with, `sidecar_projection.project` the whole.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from plait.model.gateways import ServerTls
from plait.model.http_services import PortProtocol
from plait.model.l7 import L7Settings, MtlsMode
from plait.model.proxies import Proxy
from plait.model.routes import Destination, VirtualHost
from plait.model.traffic import Pool
from plait.model.views.enforced import Enforced
from plait.model.views.upstreams import Upstream


class HttpOutbound(Struct, frozen=True):
    """All HTTP services of one port: one listener by port and one route configuration, named by the port.

    `sniff`: some service of the port did not say its protocol, so other bytes go to the TCP chains.
    """

    port: int
    virtual_hosts: tuple[VirtualHost, ...]
    sniff: bool = False
    bind: str = ""
    """Address of an egress listener of the Sidecar's own (`unix:///path`, then `port` is 0); "" is by port."""
    capture: bool = True
    """What was captured is handed to it; otherwise applications connect to it."""
    by_port: bool = False
    """Its hosts are told apart by the ports that clients write (a generic HTTP proxy)."""
    pinned: bool = False
    """Some service of the port is headless: its requests go to the pod that was dialed."""


class TcpOutbound(Struct, frozen=True):
    """Connections to these addresses and port (and server names) to weighted destinations."""

    port: int
    addresses: tuple[str, ...]
    """IPs or CIDRs; empty: any address of the port."""
    destinations: tuple[Destination, ...]
    server_names: tuple[str, ...] = ()
    """Passed-through TLS for these names only."""
    protocol: PortProtocol = "tcp"
    name: str = ""
    sniff: bool = False
    """HTTP on this address and port goes to `HttpOutbound` of the port."""
    bind: str = ""
    capture: bool = True
    """As of `HttpOutbound`."""
    hostname: str = ""
    """Of the service whose addresses these are: HTTP to them is meant for it, whatever host the client writes."""
    pinned: str = ""
    """The one endpoint that is dialed by these addresses."""


class InboundPort(Struct, frozen=True):
    """A port of the pod. Traffic of other ports passes under `Enforced.policies` and `default_mtls`."""

    port: int
    """Where the application listens (what the packet says)."""
    protocol: PortProtocol
    mtls: MtlsMode
    service: str = ""
    """"ns/hostname" of the (first) service that names it."""
    hostname: str = ""
    service_port: int = 0
    endpoint: str = ""
    """"ip:port" or "unix:///path" where it is delivered instead."""
    tls: ServerTls | None = None
    pool: Pool | None = None
    bind: str = ""
    """Address at which the proxy listens for it too; "" it gets only what was captured."""
    virtual_hosts: tuple[VirtualHost, ...] = ()
    """Routes to be applied on the way in (only when no client could); empty: straight to the application."""


class Outbound(Struct, frozen=True, dict=True):
    """What a sidecar may call. `proxy` is who asks: one sidecar, or who stands for its kin (`views.kin`)."""

    proxy: Proxy
    settings: L7Settings
    http: tuple[HttpOutbound, ...]
    tcp: tuple[TcpOutbound, ...]
    upstreams: tuple[Upstream, ...]
    unknown: Literal["allow_any", "registry_only"]
    """What happens to calls of what nobody declared."""
    egress_proxy: Destination | None
    """Where those go instead."""


class SidecarView(Outbound, frozen=True):
    """`upstreams` are those of calls, and what its own policies and telemetry need."""

    inbound: tuple[InboundPort, ...]
    default_mtls: MtlsMode
    enforced: Enforced
    """What it enforces for requests to this pod."""
    pool: Pool | None = None
    """Of inbound connections."""
    tunnel: bool = False
    """Peers reach this pod by HBONE, so 15008 is served too."""
