"""WorkloadEntry and WorkloadGroup: workloads outside Kubernetes, one by one or by template."""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

from typing import Annotated

from plait.resources.markers import Model, Port, Text, UInt32, limit
from plait.resources.meta import IstioResource

_Labels = Annotated[dict[str, str], limit(maxProperties=256)]


class WorkloadEntrySpec(Model, frozen=True, kw_only=True):
    """One endpoint: its address, ports by name, labels, and where and as whom it runs."""

    address: Annotated[str, limit(maxLength=256)] = ""
    ports: Annotated[dict[str, Port], limit(maxProperties=128)] = {}
    labels: _Labels = {}
    network: Annotated[str, limit(maxLength=2048)] = ""
    locality: Annotated[str, limit(maxLength=2048)] = ""
    weight: UInt32 = 0
    service_account: Annotated[str, limit(maxLength=253)] = ""


class WorkloadEntry(IstioResource, frozen=True, kw_only=True):
    """A workload outside Kubernetes."""

    spec: WorkloadEntrySpec


class HTTPHeader(Model, frozen=True, kw_only=True):
    """A header sent with a probe."""

    name: Annotated[str, limit(pattern=r"^[-_A-Za-z0-9]+$")] = ""
    value: str = ""


class HTTPHealthCheck(Model, frozen=True, kw_only=True):
    """Ready when a GET answers 2xx or 3xx."""

    path: str = ""
    port: Port
    host: str = ""
    scheme: str = ""
    http_headers: tuple[HTTPHeader, ...] = ()


class TCPHealthCheck(Model, frozen=True, kw_only=True):
    """Ready when a connection opens."""

    host: str = ""
    port: Port


class ExecHealthCheck(Model, frozen=True, kw_only=True):
    """Ready when a command exits with 0."""

    command: tuple[Text, ...]


class GrpcHealthCheck(Model, frozen=True, kw_only=True):
    """Ready when the gRPC health service says SERVING."""

    port: Port | None = None
    service: str = ""


_Natural = Annotated[int, limit(format="int32", minimum=0)]


class ReadinessProbe(Model, frozen=True, kw_only=True):
    """How a VM of the group is asked whether it is ready (exactly one way)."""

    initial_delay_seconds: _Natural = 0
    timeout_seconds: _Natural = 0
    period_seconds: _Natural = 0
    success_threshold: _Natural = 0
    failure_threshold: _Natural = 0
    http_get: HTTPHealthCheck | None = None
    tcp_socket: TCPHealthCheck | None = None
    exec: ExecHealthCheck | None = None
    grpc: GrpcHealthCheck | None = None


class GroupMetadata(Model, frozen=True, kw_only=True):
    """Labels and annotations every member gets."""

    labels: _Labels = {}
    annotations: Annotated[dict[str, str], limit(maxProperties=256)] = {}


class WorkloadGroupSpec(Model, frozen=True, kw_only=True):
    """The template from which members of the group are registered."""

    metadata: GroupMetadata | None = None
    template: WorkloadEntrySpec
    probe: ReadinessProbe | None = None


class WorkloadGroup(IstioResource, frozen=True, kw_only=True):
    """A set of like workloads outside Kubernetes that register themselves."""

    spec: WorkloadGroupSpec
