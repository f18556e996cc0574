"""WaypointView: services and workloads behind one waypoint, and what is enforced for each: all a translator needs.

Order of decision inside: connect_terminate (HBONE, identity) -> main_internal by address and port -> a service or a
workload -> its policies and routes -> connect_originate.
"""

from __future__ import annotations

from msgspec import Struct

from plait.base.wellknown import HBONE_PORT
from plait.model.http_services import PortProtocol
from plait.model.l7 import L7Settings
from plait.model.policies import Policy
from plait.model.proxies import Proxy
from plait.model.routes import Destination, VirtualHost
from plait.model.views.enforced import Enforced
from plait.model.views.upstreams import Upstream, UpstreamEndpoint


class Connections(Struct, frozen=True):
    """What becomes of connections of callers of one namespace ("" any)."""

    namespace: str
    destinations: tuple[Destination, ...]
    server_names: tuple[tuple[tuple[str, ...], tuple[Destination, ...]], ...] = ()


class ServedPort(Struct, frozen=True):
    """A port of a service. HTTP (or unknown) has virtual hosts, everything has TCP destinations."""

    port: int
    protocol: PortProtocol
    virtual_hosts: tuple[VirtualHost, ...] = ()
    destinations: tuple[Destination, ...] = ()
    """For bytes that are not HTTP."""
    server_names: tuple[tuple[tuple[str, ...], tuple[Destination, ...]], ...] = ()
    """TLS by server name: (names, destinations), before `destinations`."""
    callers: tuple[Connections, ...] = ()
    """Of namespaces that have rules of their own, or that a rule names; the rest is for all others."""

    @property
    def named(self) -> bool:
        """Whether a server name decides anything."""
        return bool(self.server_names) or any(each.server_names for each in self.callers)


class ServedService(Struct, frozen=True):
    """A service this waypoint stands before; chains are named `inbound-vip|<port>|http|<hostname>`."""

    key: str
    hostname: str
    namespace: str
    name: str
    addresses: tuple[str, ...]
    """IPs or CIDRs; a service without one is reached by its name in :authority."""
    ports: tuple[ServedPort, ...]
    enforced: Enforced
    """Policies of the waypoint and of this service together, in order."""


class ServedWorkload(Struct, frozen=True):
    """A workload this waypoint stands before, reached by its own address on any port."""

    uid: str
    namespace: str
    addresses: tuple[str, ...]
    endpoint: UpstreamEndpoint
    """Port 0: the one that was asked for."""
    ports: tuple[tuple[int, PortProtocol], ...]
    """Ports whose protocol is known."""
    enforced: Enforced
    refused: tuple[int, ...] = ()
    """Ports bound by policies of a service, which who asks for the workload itself does not pass."""


class WaypointView(Struct, frozen=True, dict=True):
    proxy: Proxy
    settings: L7Settings
    services: tuple[ServedService, ...]
    workloads: tuple[ServedWorkload, ...]
    upstreams: tuple[Upstream, ...]
    enforced: Enforced
    """Of the waypoint itself: telemetry and additions; and what holds for destinations it does not know (refused)."""
    trust_domains: tuple[str, ...]
    """Own first, then aliases: whose identities are accepted."""
    l4: tuple[Policy, ...] = ()
    """L4 policies of namespace and mesh the waypoint's own workload is bound by."""
    port: int = HBONE_PORT
    activator: str = ""
    """Who may bring connections that it held, each with the address of its client before it."""
