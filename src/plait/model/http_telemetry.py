"""What an HTTP proxy reports: metrics, spans and access logs, as Telemetry objects and the mesh configuration say."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from plait.model.attachment import Attachment

Side = Literal["client", "server", "both"]
SinkKind = Literal[
    "prometheus", "file", "otel_log", "http_als", "tcp_als", "otel_span", "zipkin", "datadog", "skywalking"
]


class Sink(Struct, frozen=True):
    """A provider of the mesh configuration: where reports go. Settings that only the sink knows are in `options`."""

    name: str
    kind: SinkKind
    hostname: str = ""
    port: int = 0
    namespace: str = ""
    options: tuple[tuple[str, Any], ...] = ()

    def option(self, name: str, default: Any = None) -> Any:
        return next((value for key, value in self.options if key == name), default)


class TagChange(Struct, frozen=True, gc=False):
    """`value` is a CEL expression; "" removes the tag."""

    tag: str
    value: str = ""


class MetricChange(Struct, frozen=True, gc=False):
    """A change to one metric ("" all), on some side."""

    metric: str = ""
    side: Side = "both"
    disabled: bool | None = None
    tags: tuple[TagChange, ...] = ()


class SpanTag(Struct, frozen=True, gc=False):
    name: str
    how: Literal["literal", "environment", "header", "formatter"]
    value: str
    default: str = ""


class Tracing(Struct, frozen=True, gc=False):
    """None is "not said at this level"."""

    side: Side = "both"
    sinks: tuple[str, ...] = ()
    sampling: float | None = None
    disabled: bool | None = None
    tags: tuple[SpanTag, ...] = ()
    by_request_id: bool | None = None
    istio_tags: bool | None = None
    propagate: bool | None = None


class Logging(Struct, frozen=True, gc=False):
    side: Side = "both"
    sinks: tuple[str, ...] = ()
    disabled: bool | None = None
    expression: str = ""
    """CEL; requests for which it is false are not logged."""


class Metrics(Struct, frozen=True, gc=False):
    sinks: tuple[str, ...] = ()
    changes: tuple[MetricChange, ...] = ()


class TelemetryPolicy(Struct, frozen=True):
    """One Telemetry object."""

    name: str
    namespace: str
    attachment: Attachment
    tracing: tuple[Tracing, ...] = ()
    metrics: tuple[Metrics, ...] = ()
    logging: tuple[Logging, ...] = ()
    created: str = ""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"
