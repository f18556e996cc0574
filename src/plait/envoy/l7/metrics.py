"""Istio's standard metrics of requests and connections, with what Telemetry changes of them.

They come from the stats access logger, since the binary has no istio_stats filter.
"""

from __future__ import annotations

from typing import Any

from plait.base import expressions
from plait.base.format_strings import literal
from plait.envoy.l7.context import Context
from plait.envoy.l7.points import SERVICE, SIDE, Point
from plait.envoy.pieces import Doc, extension
from plait.model.http_telemetry import MetricChange
from plait.model.views.enforced import Telemetry

_METRICS = {
    "REQUEST_COUNT": "istio_requests_total",
    "REQUEST_DURATION": "istio_request_duration_milliseconds",
    "REQUEST_SIZE": "istio_request_bytes",
    "RESPONSE_SIZE": "istio_response_bytes",
    "GRPC_REQUEST_MESSAGES": "istio_request_messages_total",
    "GRPC_RESPONSE_MESSAGES": "istio_response_messages_total",
    "TCP_OPENED_CONNECTIONS": "istio_tcp_connections_opened_total",
    "TCP_CLOSED_CONNECTIONS": "istio_tcp_connections_closed_total",
    "TCP_SENT_BYTES": "istio_tcp_sent_bytes_total",
    "TCP_RECEIVED_BYTES": "istio_tcp_received_bytes_total",
}
_MESSAGES = ("GRPC_REQUEST_MESSAGES", "GRPC_RESPONSE_MESSAGES")
_PROTOCOL = (
    "%CEL('content-type' in request.headers && request.headers['content-type'].startsWith('application/grpc') "
    "? 'grpc' : 'http')%"
)


def _tags(point: Point, protocol: str) -> dict[str, str]:
    return {
        "reporter": point.reporter,
        **{f"source_{key}": point.source[key] for key in SIDE},
        **{f"destination_{key}": point.destination[key] for key in SIDE},
        **{f"destination_{key}": point.service[key] for key in SERVICE},
        "request_protocol": protocol,
        "response_flags": "%RESPONSE_FLAGS%",
        "connection_security_policy": point.security,
    }


def metrics(ctx: Context, wanted: Telemetry, point: Point, *, http: bool = True) -> list[Doc]:
    """Stats loggers of requests (or connections), with tags changed and metrics switched off as Telemetry says."""
    ours = {sink.name for sink in wanted.sinks if sink.kind == "prometheus"}
    if not ours:
        return []
    said = (change for each in wanted.metrics if ours.intersection(each.sinks) for change in each.changes)
    changes = tuple(change for change in said if change.side in (point.side, "both"))
    for change in changes:
        if change.metric in _MESSAGES:
            ctx.refuse("", f"telemetry.metrics.{change.metric}", "gRPC messages are not counted, so nothing is changed")
    if not http:
        return _tcp(changes, point)
    requests: dict[str, Any] = {"istio_requests_total": 1}
    sizes = {
        "istio_request_duration_milliseconds": ("Milliseconds", "%DURATION%"),
        "istio_request_bytes": ("Bytes", "%BYTES_RECEIVED%"),
        "istio_response_bytes": ("Bytes", "%BYTES_SENT%"),
    }
    base = {
        **_tags(point, _PROTOCOL),
        "response_code": "%RESPONSE_CODE%",
        "grpc_response_status": "%GRPC_STATUS_NUMBER%",
    }
    counters = [_counter(name, value, base, changes) for name, value in requests.items()]
    histograms = [
        None if (stat := _stat(name, base, changes)) is None else {"stat": stat, "unit": unit, "value_format": value}
        for name, (unit, value) in sizes.items()
    ]
    return [_logger([c for c in counters if c], [h for h in histograms if h])]


def _tcp(changes: tuple[MetricChange, ...], point: Point) -> list[Doc]:
    base = _tags(point, "tcp")
    opened = [_counter("istio_tcp_connections_opened_total", 1, base, changes)]
    closed = [
        _counter(f"istio_tcp_{name}", value, base, changes)
        for name, value in (
            ("connections_closed_total", 1),
            ("sent_bytes_total", "%BYTES_SENT%"),
            ("received_bytes_total", "%BYTES_RECEIVED%"),
        )
    ]
    return [
        {**_logger([c for c in found if c], []), "filter": {"log_type_filter": {"types": [kind]}}}
        for found, kind in ((opened, "TcpUpstreamConnected"), (closed, "TcpConnectionEnd"))
        if any(found)
    ]


def _counter(name: str, value: int | str, tags: dict[str, str], changes: tuple[MetricChange, ...]) -> Doc | None:
    stat = _stat(name, tags, changes)
    if stat is None:
        return None
    return {"stat": stat, **({"value_fixed": value} if isinstance(value, int) else {"value_format": value})}


def _stat(name: str, tags: dict[str, str], changes: tuple[MetricChange, ...]) -> Doc | None:
    """A later change wins, be it about this metric or about all."""
    found, disabled = dict(tags), False
    for change in changes:
        if change.metric not in ("", "ALL_METRICS") and _METRICS.get(change.metric, change.metric) != name:
            continue
        if change.disabled is not None:
            disabled = change.disabled
        for tag in change.tags:
            if tag.value:
                found[tag.tag] = _expression(tag.value)
            else:
                found.pop(tag.tag, None)
    if disabled:
        return None
    return {"name": name, "tags": [{"name": key, "value_format": value} for key, value in found.items()]}


def _expression(text: str) -> str:
    """A CEL expression as a formatter operator; what cannot stand in one is printed as it is."""
    constant = expressions.plain_text(text)
    return f"%CEL({text})%" if constant is None else literal(constant)


def _logger(counters: list[Doc], histograms: list[Doc]) -> Doc:
    return extension(
        "envoy.access_loggers.stats",
        "envoy.extensions.access_loggers.stats.v3.Config",
        stats_scope={"prefix": "", "sharing_name": "istio", "enable_eviction": True, "max_counters": 20000},
        counters=counters,
        histograms=histograms,
    )
