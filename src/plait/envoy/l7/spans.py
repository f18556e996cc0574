"""Spans: the tracing of a connection manager, by provider."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from plait.envoy.l7.collectors import collector
from plait.envoy.l7.context import Context, seconds
from plait.envoy.l7.points import Point
from plait.envoy.pieces import Doc, any_of, extension
from plait.model.http_telemetry import Sink, SpanTag, Tracing
from plait.model.views.enforced import Telemetry


def tracing(ctx: Context, wanted: Telemetry, point: Point) -> Doc | None:
    """The tracing of a connection manager; None where nobody asks for spans."""
    if not ctx.settings.tracing:
        return None
    chosen = _chosen(wanted, point)
    if chosen.disabled:
        return None
    named = {sink.name: sink for sink in wanted.sinks}
    sinks = [named[name] for name in chosen.sinks or ctx.settings.tracing_sinks if name in named]
    if not sinks:
        return None
    provider = _provider(ctx, sinks[0])
    if provider is None:
        return None
    if len(sinks) > 1:
        ctx.refuse("", "telemetry.tracing.providers", f"spans go to one provider: {sinks[0].name}")
    rate = chosen.sampling if chosen.sampling is not None else ctx.settings.sampling
    document: Doc = {
        "provider": provider,
        "client_sampling": {"value": 100},
        "random_sampling": {"value": rate},
        "overall_sampling": {"value": 100},
        "spawn_upstream_span": False,
        "custom_tags": [
            _tag(tag) for tag in (*_standard(ctx, point, chosen), *(chosen.tags or ctx.settings.span_tags))
        ],
    }
    if length := int(sinks[0].option("maxTagLength", 0)) or ctx.settings.path_tag_length:
        document["max_path_tag_length"] = length
    if chosen.propagate is False:
        document["no_context_propagation"] = True
    return document


def request_ids(wanted: Telemetry, point: Point) -> Doc | None:
    """The request id extension where sampling shall not follow from the id; else Envoy's default, which does."""
    if _chosen(wanted, point).by_request_id is not False:
        return None
    kind = "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig"
    return {"typed_config": any_of(kind, use_request_id_for_trace_sampling=False)}


def _chosen(wanted: Telemetry, point: Point) -> Tracing:
    ours = [each for each in wanted.tracing if each.side in (point.side, "both")]
    return ours[-1] if ours else Tracing()


def _standard(ctx: Context, point: Point, chosen: Tracing) -> tuple[SpanTag, ...]:
    if not (ctx.settings.istio_tags if chosen.istio_tags is None else chosen.istio_tags):
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


_DETECTORS = "envoy.extensions.tracers.opentelemetry.resource_detectors.v3"
_DETECTED = {"environment": "EnvironmentResourceDetector", "dynatrace": "DynatraceResourceDetector"}


def _service(sink: Sink, cluster: str, wanted: Mapping[str, Any], path: str, timeout: float) -> Doc:
    """A collector that takes HTTP."""
    uri = {
        "uri": f"http://{sink.hostname}:{sink.port}{wanted.get('path', path)}",
        "cluster": cluster,
        "timeout": seconds(wanted.get("timeout", timeout)),
    }
    headers = [{"header": each} for each in _named(wanted.get("headers", ()))]
    return {"http_uri": uri, **({"request_headers_to_add": headers} if headers else {})}


def _named(headers: Iterable[Mapping[str, str]]) -> list[Doc]:
    """Headers of what asks a collector."""
    return [{"key": each["name"], "value": _value(each)} for each in headers if each.get("name")]


def _value(header: Mapping[str, str]) -> str:
    """Out of the proxy's environment it is read there."""
    return f"%ENVIRONMENT({header['envName']})%" if "envName" in header else header.get("value", "")


def _provider(ctx: Context, sink: Sink) -> Doc | None:
    cluster = collector(ctx, sink)
    if cluster is None:
        return None
    name = f"{ctx.proxy.name}.{ctx.proxy.namespace}"
    match sink.kind:
        case "otel_span":
            return _opentelemetry(sink, cluster, str(sink.option("serviceName", name)))
        case "zipkin":
            return _zipkin(sink, cluster)
        case "datadog":
            kind = "envoy.config.trace.v3.DatadogConfig"
            return extension("envoy.tracers.datadog", kind, collector_cluster=cluster, service_name=name)
        case "skywalking":
            token = sink.option("accessToken")
            return extension(
                "envoy.tracers.skywalking",
                "envoy.config.trace.v3.SkyWalkingConfig",
                grpc_service={"envoy_grpc": {"cluster_name": cluster}},
                **({"client_config": {"backend_token": token}} if token else {}),
            )
        case _:
            ctx.refuse("", f"extensionProviders.{sink.name}", f"a provider of kind {sink.kind} takes no spans")
            return None


def _opentelemetry(sink: Sink, cluster: str, name: str) -> Doc:
    config: Doc = {"service_name": name}
    http = sink.option("http")
    if http is not None:
        config["http_service"] = _service(sink, cluster, http, "/v1/traces", 10.0)
    else:
        grpc = sink.option("grpc", {})
        metadata = _named(grpc.get("initialMetadata", ()))
        config["grpc_service"] = {
            "envoy_grpc": {"cluster_name": cluster},
            "timeout": seconds(grpc.get("timeout", 10.0)),
            **({"initial_metadata": metadata} if metadata else {}),
        }
    wanted = sink.option("resourceDetectors", {})
    detectors = [
        extension(f"envoy.tracers.opentelemetry.resource_detectors.{detector}", f"{_DETECTORS}.{kind}Config")
        for detector, kind in _DETECTED.items()
        if detector in wanted
    ]
    if detectors:
        config["resource_detectors"] = detectors
    return extension("envoy.tracers.opentelemetry", "envoy.config.trace.v3.OpenTelemetryConfig", **config)


def _zipkin(sink: Sink, cluster: str) -> Doc:
    path = str(sink.option("path", "/api/v2/spans"))
    asked = {name: value for name in ("timeout", "headers") if (value := sink.option(name))}
    place: Doc = {
        "collector_cluster": cluster,
        "collector_endpoint": path,
        "collector_hostname": f"{sink.hostname}:{sink.port}",
    }
    if asked:  # only Envoy's newer form has a place for them
        place = {"collector_service": _service(sink, cluster, asked, path, 5.0)}
    if option := sink.option("traceContextOption"):
        place["trace_context_option"] = option
    return extension(
        "envoy.tracers.zipkin",
        "envoy.config.trace.v3.ZipkinConfig",
        **place,
        collector_endpoint_version="HTTP_JSON",
        trace_id_128bit=bool(sink.option("enable64bitTraceId")) is False,
        shared_span_context=False,
    )
