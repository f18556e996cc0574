"""Gateway (Istio's own): the ports, hosts and TLS of a load balancer at the edge of the mesh."""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

from plait.resources.markers import Model, UInt32
from plait.resources.meta import IstioResource
from plait.resources.networking.traffic import ServerTlsSettings


class ServerPort(Model, frozen=True, kw_only=True):
    """A listening port: number, protocol (HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP, TLS) and a name."""

    number: UInt32
    protocol: str
    name: str
    target_port: UInt32 = 0


class Server(Model, frozen=True, kw_only=True):
    """One listening port with the hosts it answers to."""

    port: ServerPort
    bind: str = ""
    hosts: tuple[str, ...]
    tls: ServerTlsSettings | None = None
    default_endpoint: str = ""
    name: str = ""


class GatewaySpec(Model, frozen=True, kw_only=True):
    """Servers for the gateway pods that carry the labels of `selector`."""

    servers: tuple[Server, ...] = ()
    selector: dict[str, str] = {}


class Gateway(IstioResource, frozen=True, kw_only=True):
    """Ports and hosts of a gateway."""

    spec: GatewaySpec = GatewaySpec()
