"""Telemetry: which metrics, traces and access logs the proxies write, and where to."""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

from typing import Literal

from plait.resources.markers import Duration, Model, Percent, Text
from plait.resources.meta import IstioResource
from plait.resources.networking.traffic import LabelMatch, ProviderName, TargetReference, TargetReferences

WorkloadMode = Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"]


class ModeMatch(Model, frozen=True, kw_only=True):
    """The side of the traffic."""

    mode: WorkloadMode = "CLIENT_AND_SERVER"


class LiteralTag(Model, frozen=True, kw_only=True):
    """A fixed value."""

    value: Text


class EnvironmentTag(Model, frozen=True, kw_only=True):
    """An environment variable of the proxy."""

    name: Text
    default_value: str = ""


class HeaderTag(Model, frozen=True, kw_only=True):
    """A request header."""

    name: Text
    default_value: str = ""


class FormatterTag(Model, frozen=True, kw_only=True):
    """An access-log format string."""

    value: Text


class CustomTag(Model, frozen=True, kw_only=True):
    """Where the value of a span tag comes from (exactly one)."""

    literal: LiteralTag | None = None
    environment: EnvironmentTag | None = None
    header: HeaderTag | None = None
    formatter: FormatterTag | None = None


class Tracing(Model, frozen=True, kw_only=True):
    """Spans: providers, sampling, tags."""

    match: ModeMatch | None = None
    providers: tuple[ProviderName, ...] = ()
    random_sampling_percentage: Percent | None = None
    disable_span_reporting: bool | None = None
    custom_tags: dict[str, CustomTag] = {}
    use_request_id_for_trace_sampling: bool | None = None
    enable_istio_tags: bool | None = None
    disable_context_propagation: bool | None = None


Metric = Literal[
    "ALL_METRICS",
    "REQUEST_COUNT",
    "REQUEST_DURATION",
    "REQUEST_SIZE",
    "RESPONSE_SIZE",
    "TCP_OPENED_CONNECTIONS",
    "TCP_CLOSED_CONNECTIONS",
    "TCP_SENT_BYTES",
    "TCP_RECEIVED_BYTES",
    "GRPC_REQUEST_MESSAGES",
    "GRPC_RESPONSE_MESSAGES",
]


class MetricSelector(Model, frozen=True, kw_only=True):
    """A metric of ours or one by name, on one side or both."""

    metric: Metric | None = None
    custom_metric: Text | None = None
    mode: WorkloadMode = "CLIENT_AND_SERVER"


class TagOverride(Model, frozen=True, kw_only=True):
    """Set a tag to a CEL expression, or remove it."""

    operation: Literal["UPSERT", "REMOVE"] = "UPSERT"
    value: str | None = None


class MetricsOverrides(Model, frozen=True, kw_only=True):
    """A change to some metrics."""

    match: MetricSelector | None = None
    disabled: bool | None = None
    tag_overrides: dict[str, TagOverride] = {}


class Metrics(Model, frozen=True, kw_only=True):
    """Metrics: providers and changes to the standard set."""

    providers: tuple[ProviderName, ...] = ()
    overrides: tuple[MetricsOverrides, ...] = ()
    reporting_interval: Duration | None = None


class AccessLoggingFilter(Model, frozen=True, kw_only=True):
    """A CEL expression; requests for which it is false are not logged."""

    expression: str = ""


class AccessLogging(Model, frozen=True, kw_only=True):
    """Access logs: providers, side, filter."""

    match: ModeMatch | None = None
    providers: tuple[ProviderName, ...] = ()
    disabled: bool | None = None
    filter: AccessLoggingFilter | None = None


class TelemetrySpec(Model, frozen=True, kw_only=True):
    """Telemetry of the chosen workloads, of the namespace, or (root namespace) of the mesh."""

    selector: LabelMatch | None = None
    target_ref: TargetReference | None = None
    target_refs: TargetReferences = ()
    tracing: tuple[Tracing, ...] = ()
    metrics: tuple[Metrics, ...] = ()
    access_logging: tuple[AccessLogging, ...] = ()


class Telemetry(IstioResource, frozen=True, kw_only=True):
    """Metrics, traces and access logs."""

    spec: TelemetrySpec = TelemetrySpec()
