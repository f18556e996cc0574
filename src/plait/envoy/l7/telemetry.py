"""What an HTTP proxy tells about requests: Istio's standard metrics, access logs and spans.

A `Point` says which of the two sides knows what: labels of source, destination and service as constants or as operators
of Envoy's formatter. The metrics come from the stats access logger, since the binary has no istio_stats filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from plait.envoy import telemetry as l4
from plait.envoy.l7.context import Context, seconds
from plait.envoy.pieces import Doc, extension
from plait.model.http_telemetry import Logging, MetricChange, Sink, SpanTag, Tracing
from plait.model.proxies import Proxy
from plait.model.views.enforced import Telemetry

Side = Literal["client", "server"]
_SIDE = (
    "workload",
    "workload_namespace",
    "principal",
    "app",
    "version",
    "canonical_service",
    "canonical_revision",
    "cluster",
)
_SERVICE = ("service", "service_name", "service_namespace")
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
_TEXT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% '
    '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)
_PROTOCOL = (
    "%CEL('content-type' in request.headers && request.headers['content-type'].startsWith('application/grpc') "
    "? 'grpc' : 'http')%"
)


@dataclass(frozen=True, slots=True)
class Point:
    """`reporter` as Istio names it; `identity` is the operator that prints the caller's SPIFFE id ("" none)."""

    reporter: Literal["source", "destination", "waypoint"]
    side: Side
    source: dict[str, str]
    destination: dict[str, str]
    service: dict[str, str]
    security: str
    identity: str = "%DOWNSTREAM_PEER_URI_SAN%"


def itself(proxy: Proxy) -> dict[str, str]:
    tags = proxy.tags
    app = (
        tags.get("service.istio.io/canonical-name")
        or tags.get("app.kubernetes.io/name")
        or tags.get("app")
        or proxy.name
    )
    revision = (
        tags.get("service.istio.io/canonical-revision") or tags.get("app.kubernetes.io/version") or tags.get("version")
    )
    labels = {
        "workload": proxy.workload or proxy.name,
        "workload_namespace": proxy.namespace,
        "principal": proxy.identity,
        "app": app,
        "version": revision or "latest",
        "canonical_service": app,
        "canonical_revision": revision or "latest",
        "cluster": proxy.cluster,
    }
    return {key: l4.literal(value) for key, value in labels.items()}


def baggage(proxy: Proxy) -> str:
    """What the proxy says of itself where it sends into a tunnel."""
    own = itself(proxy)
    kind, name = (proxy.workload_type, proxy.workload) if proxy.workload else ("pod", proxy.name)
    return l4.baggage(proxy.cluster, proxy.namespace, kind, name, own["canonical_service"], own["canonical_revision"])


def caller(identity: str) -> dict[str, str]:
    """What is known of a client by its certificate: principal and namespace."""
    return {**dict.fromkeys(_SIDE, l4.UNKNOWN), "principal": identity, "workload_namespace": _namespace(identity)}


def _namespace(identity: str) -> str:
    if identity != "%DOWNSTREAM_PEER_URI_SAN%":
        return l4.UNKNOWN
    san = "connection.uri_san_peer_certificate"
    return f"%CEL({san}.matches('/ns/[^/]+/') ? re.extract({san}, '/ns/([^/]+)/', '\\\\1') : '{l4.UNKNOWN}')%"


def outgoing(proxy: Proxy) -> Point:
    """A sidecar's outbound side and a gateway."""
    security = "%UPSTREAM_METADATA(plait.peer:security)%"
    return Point("source", "client", itself(proxy), l4.from_endpoint(), l4.from_cluster(), security)


def incoming(
    proxy: Proxy, service: dict[str, str], *, mutual: bool, identity: str = "%DOWNSTREAM_PEER_URI_SAN%"
) -> Point:
    source = caller(identity) if mutual else l4.nobody()
    return Point("destination", "server", source, itself(proxy), service, "mutual_tls" if mutual else "none", identity)


def waypoint(service: dict[str, str], identity: str) -> Point:
    return Point("waypoint", "server", caller(identity), l4.from_endpoint(), service, "mutual_tls", identity)


def service(hostname: str, name: str, namespace: str) -> dict[str, str]:
    labels = {"service": hostname, "service_name": name, "service_namespace": namespace}
    return {key: l4.literal(value or l4.UNKNOWN) for key, value in labels.items()}


# Metrics ---


def _tags(point: Point, protocol: str) -> dict[str, str]:
    return {
        "reporter": point.reporter,
        **{f"source_{key}": point.source[key] for key in _SIDE},
        **{f"destination_{key}": point.destination[key] for key in _SIDE},
        **{f"destination_{key}": point.service[key] for key in _SERVICE},
        "request_protocol": protocol,
        "response_flags": "%RESPONSE_FLAGS%",
        "connection_security_policy": point.security,
    }


def metrics(ctx: Context, wanted: Telemetry, point: Point, *, http: bool = True) -> list[Doc]:
    """Stats loggers of requests (or connections), with tags changed and metrics switched off as Telemetry says."""
    if not any(sink.kind == "prometheus" for sink in wanted.sinks) and "prometheus" not in ctx.settings.metrics_sinks:
        return []
    changes = tuple(change for each in wanted.metrics for change in each.changes if change.side in (point.side, "both"))
    for change in changes:
        if change.metric in _MESSAGES:
            ctx.refuse("", f"telemetry.metrics.{change.metric}", "gRPC messages are not counted, so nothing is changed")
    if any(each.interval is not None for each in wanted.metrics):
        ctx.refuse("", "telemetry.metrics.reportingInterval", "TCP metrics are reported when connections end")
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
    """A later change wins, and one about this metric wins over one about all."""
    found, disabled = dict(tags), False
    for change in sorted(changes, key=lambda c: c.metric not in ("", "ALL_METRICS")):
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
    if text.startswith(("'", '"')) and text.endswith(text[0]) and len(text) > 1:
        return l4.literal(text[1:-1])
    return f"%CEL({text})%"


def _logger(counters: list[Doc], histograms: list[Doc]) -> Doc:
    return extension(
        "envoy.access_loggers.stats",
        "envoy.extensions.access_loggers.stats.v3.Config",
        stats_scope={"prefix": "", "sharing_name": "istio", "enable_eviction": True, "max_counters": 20000},
        counters=counters,
        histograms=histograms,
    )


# Access logs ---


def logs(ctx: Context, wanted: Telemetry, point: Point, *, http: bool = True) -> list[Doc]:
    """Loggers that Telemetry asks for; else those of the mesh configuration."""
    ours = [each for each in wanted.logging if each.side in (point.side, "both")]
    named = {sink.name: sink for sink in wanted.sinks}
    found: list[Doc] = []
    for each in ours or [Logging()]:
        if each.disabled:
            continue
        for name in each.sinks or ctx.settings.logging_sinks or (("",) if ctx.settings.access_log_file else ()):
            made = _log(ctx, named.get(name), name, http=http)
            if made is not None:
                chosen = _chosen(each.expression)
                found.append({**made, **({"filter": chosen} if chosen else {})})
    return found


def _chosen(expression: str) -> Doc | None:
    if not expression:
        return None
    config = extension(
        "envoy.access_loggers.extension_filters.cel",
        "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        expression=expression,
    )
    return {"extension_filter": config}


def _log(ctx: Context, sink: Sink | None, name: str, *, http: bool) -> Doc | None:
    if sink is None:
        if name and name != "envoy":
            ctx.refuse("", f"accessLogging.providers.{name}", "no such provider; nothing is logged to it")
            return None
        return _file(ctx.settings.access_log_file or ctx.options.access_log, _format(ctx))
    match sink.kind:
        case "file":
            path = str(sink.option("path", ctx.options.access_log))
            labels, text = sink.option("labels"), sink.option("text")
            said: Doc = (
                {"json_format": dict(labels)} if labels else {"text_format_source": {"inline_string": text or _TEXT}}
            )
            return _file(path, said)
        case "otel_log" | "http_als" | "tcp_als":
            cluster = _collector(ctx, sink)
            if cluster is None or ((sink.kind == "http_als") != http and sink.kind != "otel_log"):
                return None
            common = {
                "log_name": str(sink.option("logName", sink.name)),
                "grpc_service": {"envoy_grpc": {"cluster_name": cluster}},
                "transport_api_version": "V3",
            }
            if sink.kind == "otel_log":
                body = {"string_value": sink.option("text") or _TEXT}
                return extension(
                    "envoy.access_loggers.open_telemetry",
                    "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
                    common_config=common,
                    body=body,
                )
            kind = "HttpGrpc" if http else "TcpGrpc"
            return extension(
                f"envoy.access_loggers.{'http' if http else 'tcp'}_grpc",
                f"envoy.extensions.access_loggers.grpc.v3.{kind}AccessLogConfig",
                common_config=common,
            )
        case _:
            ctx.refuse("", f"extensionProviders.{sink.name}", f"a provider of kind {sink.kind} takes no access logs")
            return None


def _format(ctx: Context) -> Doc:
    text = ctx.settings.access_log_format
    if ctx.settings.access_log_json:
        import json

        try:
            fields = json.loads(text) if text else _JSON
        except ValueError:
            ctx.refuse("", "meshConfig.accessLogFormat", "not JSON although the encoding is JSON; the default is used")
            fields = _JSON
        return {"json_format": fields}
    return {
        "text_format_source": {"inline_string": text if text.endswith("\n") else f"{text}\n"}
        if text
        else {"inline_string": _TEXT}
    }


_JSON: dict[str, str] = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "route_name": "%ROUTE_NAME%",
}


def _file(path: str, said: Doc) -> Doc:
    return extension(
        "envoy.access_loggers.file", "envoy.extensions.access_loggers.file.v3.FileAccessLog", path=path, log_format=said
    )


def _collector(ctx: Context, sink: Sink) -> str | None:
    if (sink.hostname, sink.port, "") in ctx.upstreams:
        return ctx.cluster(sink.hostname, sink.port)
    ctx.refuse("", f"extensionProviders.{sink.name}", f"the service {sink.hostname}:{sink.port} is not visible")
    return None


# Spans ---


def tracing(ctx: Context, wanted: Telemetry, point: Point) -> Doc | None:
    """The tracing of a connection manager; None where nobody asks for spans."""
    if not ctx.settings.tracing:
        return None
    ours = [each for each in wanted.tracing if each.side in (point.side, "both")]
    chosen = ours[-1] if ours else Tracing()
    if chosen.disabled:
        return None
    named = {sink.name: sink for sink in wanted.sinks}
    sinks = [named[name] for name in chosen.sinks or ctx.settings.tracing_sinks if name in named]
    if not sinks:
        return None
    provider = _provider(ctx, sinks[0])
    if provider is None:
        return None
    if chosen.by_request_id is not None:
        ctx.refuse("", "telemetry.tracing.useRequestIdForTraceSampling", "Envoy's default (true) is kept")
    if len(sinks) > 1:
        ctx.refuse("", "telemetry.tracing.providers", f"spans go to one provider: {sinks[0].name}")
    rate = chosen.sampling if chosen.sampling is not None else ctx.settings.sampling
    document: Doc = {
        "provider": provider,
        "client_sampling": {"value": 100},
        "random_sampling": {"value": rate},
        "overall_sampling": {"value": 100},
        "spawn_upstream_span": False,
        "custom_tags": [_tag(tag) for tag in (*_standard(point, chosen), *chosen.tags)],
    }
    if not chosen.propagate:
        document["no_context_propagation"] = True
    return document


def _standard(point: Point, chosen: Tracing) -> tuple[SpanTag, ...]:
    if chosen.istio_tags is False:
        return ()
    own = point.source if point.side == "client" else point.destination
    found = {
        "istio.canonical_service": own["canonical_service"],
        "istio.canonical_revision": own["canonical_revision"],
        "istio.namespace": own["workload_namespace"],
        "istio.cluster_id": own["cluster"],
    }
    return tuple(SpanTag(name, "formatter", value) for name, value in found.items())


def _tag(tag: SpanTag) -> Doc:
    document: Doc = {"tag": tag.name}
    match tag.how:
        case "literal":
            document["literal"] = {"value": tag.value}
        case "environment":
            document["environment"] = {"name": tag.value, "default_value": tag.default}
        case "header":
            document["request_header"] = {"name": tag.value, "default_value": tag.default}
        case _:
            document["value"] = tag.value
    return document


def _provider(ctx: Context, sink: Sink) -> Doc | None:
    cluster = _collector(ctx, sink)
    if cluster is None:
        return None
    match sink.kind:
        case "otel_span":
            config: Doc = {"service_name": str(sink.option("serviceName", f"{ctx.proxy.name}.{ctx.proxy.namespace}"))}
            http = sink.option("http")
            if http:
                path = str(http.get("path", "/v1/traces"))
                uri = {
                    "uri": f"http://{sink.hostname}:{sink.port}{path}",
                    "cluster": cluster,
                    "timeout": str(http.get("timeout", "10s")),
                }
                config["http_service"] = {"http_uri": uri}
            else:
                config["grpc_service"] = {"envoy_grpc": {"cluster_name": cluster}, "timeout": seconds(10.0)}
            return extension("envoy.tracers.opentelemetry", "envoy.config.trace.v3.OpenTelemetryConfig", **config)
        case "zipkin":
            return extension(
                "envoy.tracers.zipkin",
                "envoy.config.trace.v3.ZipkinConfig",
                collector_cluster=cluster,
                collector_endpoint=str(sink.option("path", "/api/v2/spans")),
                collector_endpoint_version="HTTP_JSON",
                collector_hostname=f"{sink.hostname}:{sink.port}",
                trace_id_128bit=bool(sink.option("enable64bitTraceId")) is False,
                shared_span_context=False,
            )
        case "datadog":
            return extension(
                "envoy.tracers.datadog",
                "envoy.config.trace.v3.DatadogConfig",
                collector_cluster=cluster,
                service_name=f"{ctx.proxy.name}.{ctx.proxy.namespace}",
            )
        case "skywalking":
            return extension(
                "envoy.tracers.skywalking",
                "envoy.config.trace.v3.SkyWalkingConfig",
                grpc_service={"envoy_grpc": {"cluster_name": cluster}},
            )
        case _:
            ctx.refuse("", f"extensionProviders.{sink.name}", f"a provider of kind {sink.kind} takes no spans")
            return None
