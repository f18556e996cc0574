"""Extension providers of the mesh configuration: authorizers, tracers, metric and log sinks, by name."""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

from typing import Any, Literal

from plait.resources.markers import Duration, Model, Port, UInt32


class HttpHeader(Model, frozen=True, kw_only=True):
    """A header with a fixed value or one from the environment."""

    name: str = ""
    value: str | None = None
    env_name: str | None = None


class HttpService(Model, frozen=True, kw_only=True):
    """An HTTP collector."""

    path: str = ""
    timeout: Duration | None = None
    headers: tuple[HttpHeader, ...] = ()


class GrpcService(Model, frozen=True, kw_only=True):
    """A gRPC collector."""

    timeout: Duration | None = None
    initial_metadata: tuple[HttpHeader, ...] = ()


class ServiceAddress(Model, frozen=True, kw_only=True):
    """A service (`[namespace/]host`) and its port."""

    service: str
    port: Port


class RequestBody(Model, frozen=True, kw_only=True):
    """How much of a request's body the authorizer sees."""

    max_request_bytes: UInt32 = 0
    allow_partial_message: bool = False
    pack_as_bytes: bool = False


class ExtAuthzHttp(ServiceAddress, frozen=True, kw_only=True):
    """External authorization over HTTP."""

    timeout: Duration | None = None
    path_prefix: str = ""
    fail_open: bool = False
    clear_route_cache: bool = False
    status_on_error: str = ""
    include_headers_in_check: tuple[str, ...] = ()
    include_request_headers_in_check: tuple[str, ...] = ()
    include_additional_headers_in_check: dict[str, str] = {}
    include_request_body_in_check: RequestBody | None = None
    headers_to_upstream_on_allow: tuple[str, ...] = ()
    headers_to_downstream_on_deny: tuple[str, ...] = ()
    headers_to_downstream_on_allow: tuple[str, ...] = ()


class ExtAuthzGrpc(ServiceAddress, frozen=True, kw_only=True):
    """External authorization over gRPC."""

    timeout: Duration | None = None
    fail_open: bool = False
    clear_route_cache: bool = False
    status_on_error: str = ""
    include_request_body_in_check: RequestBody | None = None


class Zipkin(ServiceAddress, frozen=True, kw_only=True):
    """Spans to Zipkin."""

    max_tag_length: UInt32 = 0
    enable_64bit_trace_id: bool = False
    path: str = ""
    trace_context_option: Literal["USE_B3", "USE_B3_WITH_W3C_PROPAGATION"] = "USE_B3"
    timeout: Duration | None = None
    headers: tuple[HttpHeader, ...] = ()


class Lightstep(ServiceAddress, frozen=True, kw_only=True):
    """Spans to Lightstep."""

    access_token: str = ""
    max_tag_length: UInt32 = 0


class Datadog(ServiceAddress, frozen=True, kw_only=True):
    """Spans to Datadog."""

    max_tag_length: UInt32 = 0


class SkyWalking(ServiceAddress, frozen=True, kw_only=True):
    """Spans to SkyWalking."""

    access_token: str = ""


class StackdriverLogging(Model, frozen=True, kw_only=True):
    """Labels of log entries, as CEL."""

    labels: dict[str, str] = {}


class Stackdriver(Model, frozen=True, kw_only=True):
    """Google Cloud's sinks."""

    debug: bool = False
    max_number_of_attributes: int | None = None
    max_number_of_annotations: int | None = None
    max_number_of_message_events: int | None = None
    max_tag_length: UInt32 = 0
    logging: StackdriverLogging | None = None


TraceContext = Literal["UNSPECIFIED", "W3C_TRACE_CONTEXT", "GRPC_BIN", "CLOUD_TRACE_CONTEXT", "B3"]


class OpenCensus(ServiceAddress, frozen=True, kw_only=True):
    """Spans to an OpenCensus agent."""

    context: tuple[TraceContext, ...] = ()
    max_tag_length: UInt32 = 0


class Empty(Model, frozen=True, kw_only=True):
    """A choice without settings."""


class ResourceDetectors(Model, frozen=True, kw_only=True):
    """Where resource attributes come from."""

    environment: Empty | None = None
    dynatrace: Empty | None = None


class DynatraceApi(ServiceAddress, frozen=True, kw_only=True):
    """Dynatrace's API."""

    http: HttpService | None = None


class DynatraceSampler(Model, frozen=True, kw_only=True):
    """Sampling as Dynatrace says."""

    tenant: str
    cluster_id: int
    root_spans_per_minute: UInt32 = 0
    http_service: DynatraceApi | None = None


class OpenTelemetry(ServiceAddress, frozen=True, kw_only=True):
    """Spans over OTLP."""

    max_tag_length: UInt32 = 0
    http: HttpService | None = None
    grpc: GrpcService | None = None
    resource_detectors: ResourceDetectors | None = None
    service_attribute_enrichment: Literal["ISTIO_CANONICAL", "OTEL_SEMANTIC_CONVENTIONS"] = "ISTIO_CANONICAL"
    dynatrace_sampler: DynatraceSampler | None = None


class LogFormat(Model, frozen=True, kw_only=True):
    """A line of text or JSON fields, with Envoy's operators."""

    text: str | None = None
    labels: dict[str, Any] | None = None


class FileAccessLog(Model, frozen=True, kw_only=True):
    """Access log to a file."""

    path: str = "/dev/stdout"
    log_format: LogFormat | None = None
    omit_empty_values: bool = False


class TcpAccessLogService(ServiceAddress, frozen=True, kw_only=True):
    """Access log of connections over gRPC."""

    log_name: str = ""
    filter_state_objects_to_log: tuple[str, ...] = ()


class HttpAccessLogService(TcpAccessLogService, frozen=True, kw_only=True):
    """Access log of requests over gRPC."""

    additional_request_headers_to_log: tuple[str, ...] = ()
    additional_response_headers_to_log: tuple[str, ...] = ()
    additional_response_trailers_to_log: tuple[str, ...] = ()


class OtelAccessLog(ServiceAddress, frozen=True, kw_only=True):
    """Access log over OTLP."""

    log_name: str = ""
    log_format: LogFormat | None = None


class SecretService(ServiceAddress, frozen=True, kw_only=True):
    """Certificates from an external service."""

    name: str = ""


class ExtensionProvider(Model, frozen=True, kw_only=True):
    """One provider: a name and exactly one kind of settings."""

    name: str
    envoy_ext_authz_http: ExtAuthzHttp | None = None
    envoy_ext_authz_grpc: ExtAuthzGrpc | None = None
    zipkin: Zipkin | None = None
    lightstep: Lightstep | None = None
    datadog: Datadog | None = None
    stackdriver: Stackdriver | None = None
    opencensus: OpenCensus | None = None
    skywalking: SkyWalking | None = None
    opentelemetry: OpenTelemetry | None = None
    prometheus: Empty | None = None
    envoy_file_access_log: FileAccessLog | None = None
    envoy_http_als: HttpAccessLogService | None = None
    envoy_tcp_als: TcpAccessLogService | None = None
    envoy_otel_als: OtelAccessLog | None = None
    sds: SecretService | None = None
