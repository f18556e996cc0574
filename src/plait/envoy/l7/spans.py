"""Spans: the tracing of a connection manager, by provider."""

from __future__ import annotations

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
        "custom_tags": [_tag(tag) for tag in (*_standard(point, chosen), *chosen.tags)],
    }
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
    cluster = collector(ctx, sink)
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
