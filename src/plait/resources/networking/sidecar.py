"""Sidecar: which ports a proxy takes in and which services it needs to know."""

from __future__ import annotations

from typing import Annotated, Literal

from plait.resources.markers import Model, UInt32, doc
from plait.resources.meta import IstioResource
from plait.resources.networking.traffic import (
    ConnectionPoolSettings,
    Destination,
    ServerTlsSettings,
    WorkloadSelector,
)

CaptureMode = Literal["DEFAULT", "IPTABLES", "NONE"]


class SidecarPort(Model, frozen=True, kw_only=True):
    """A listening port of the proxy."""

    number: UInt32 = 0
    protocol: str = ""
    name: str = ""
    target_port: UInt32 = 0


class IstioIngressListener(Model, frozen=True, kw_only=True):
    """A port on which the proxy takes traffic for its application."""

    port: SidecarPort
    bind: str = ""
    capture_mode: CaptureMode = "DEFAULT"
    default_endpoint: str = ""
    tls: ServerTlsSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None


class IstioEgressListener(Model, frozen=True, kw_only=True):
    """Services (namespace/host) the application may reach, optionally on one port."""

    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: CaptureMode = "DEFAULT"
    hosts: tuple[str, ...]


class OutboundTrafficPolicy(Model, frozen=True, kw_only=True):
    """What happens to traffic to unknown destinations."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] = "REGISTRY_ONLY"
    egress_proxy: Destination | None = None


class SidecarSpec(Model, frozen=True, kw_only=True):
    """The scope of the proxies chosen by `workloadSelector`, or of the whole namespace."""

    workload_selector: WorkloadSelector | None = None
    ingress: Annotated[tuple[IstioIngressListener, ...], doc("Ports taken in; default: those of the services.")] = ()
    egress: Annotated[tuple[IstioEgressListener, ...], doc("Hosts reachable; default: everything exported.")] = ()
    inbound_connection_pool: ConnectionPoolSettings | None = None
    outbound_traffic_policy: OutboundTrafficPolicy | None = None


class Sidecar(IstioResource, frozen=True, kw_only=True):
    """The scope of sidecar proxies."""

    spec: SidecarSpec = SidecarSpec()
