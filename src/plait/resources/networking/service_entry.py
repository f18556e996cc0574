"""ServiceEntry: a service the registry of the mesh does not know by itself."""

from __future__ import annotations

from typing import Annotated, Literal

from plait.resources.markers import Model, Port, doc, keyed, limit
from plait.resources.meta import IstioResource, IstioStatus
from plait.resources.networking.traffic import WorkloadSelector
from plait.resources.networking.workload import WorkloadEntrySpec


class ServicePort(Model, frozen=True, kw_only=True):
    """A port of the service: number, protocol, name, and the port of the endpoints where it differs."""

    number: Port
    protocol: Annotated[str, limit(maxLength=256)] = ""
    name: Annotated[str, limit(maxLength=256)]
    target_port: Port | None = None


class ServiceEntrySpec(Model, frozen=True, kw_only=True):
    """Hosts, addresses, ports and endpoints of the service, and how its endpoints are found."""

    hosts: Annotated[tuple[str, ...], limit(minItems=1, maxItems=256)]
    addresses: Annotated[tuple[Annotated[str, limit(maxLength=64)], ...], limit(maxItems=256)] = ()
    ports: Annotated[tuple[ServicePort, ...], limit(maxItems=256), keyed("name")] = ()
    location: Annotated[
        Literal["MESH_EXTERNAL", "MESH_INTERNAL"], doc("Whether the service is part of the mesh (mutual TLS).")
    ] = "MESH_EXTERNAL"
    resolution: Annotated[
        Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"],
        doc("How addresses of the endpoints are found."),
    ] = "NONE"
    endpoints: Annotated[tuple[WorkloadEntrySpec, ...], limit(maxItems=4096)] = ()
    workload_selector: WorkloadSelector | None = None
    export_to: tuple[str, ...] = ()
    subject_alt_names: tuple[str, ...] = ()


class ServiceEntryAddress(Model, frozen=True, kw_only=True):
    """An address the control plane gave the service, and for which host."""

    value: str = ""
    host: str = ""


class ServiceEntryStatus(IstioStatus, frozen=True, kw_only=True):
    """Status with the addresses given to the service."""

    addresses: tuple[ServiceEntryAddress, ...] = ()


class ServiceEntry(IstioResource, frozen=True, kw_only=True):
    """A service added to the registry."""

    spec: ServiceEntrySpec
    status: ServiceEntryStatus | None = None
