"""ProxyConfig of the mesh configuration: defaults for every proxy, also the annotation proxy.istio.io/config."""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

from typing import Annotated, Literal

from plait.resources.markers import Double, Duration, Model, UInt32, limit
from plait.resources.mesh_config.providers import Empty, TraceContext
from plait.resources.networking.destination_rule import ClientTlsSettings
from plait.resources.networking.proxy_config import ProxyImage
from plait.resources.networking.traffic import TcpKeepalive
from plait.resources.networking.workload import ReadinessProbe
from plait.resources.telemetry import EnvironmentTag, HeaderTag, LiteralTag


class Address(Model, frozen=True, kw_only=True):
    """A collector's address."""

    address: str = ""


class LightstepAddress(Address, frozen=True, kw_only=True):
    """Lightstep's address and token."""

    access_token: str = ""


class StackdriverTracing(Model, frozen=True, kw_only=True):
    """Google Cloud tracing."""

    debug: bool = False
    max_number_of_attributes: int | None = None
    max_number_of_annotations: int | None = None
    max_number_of_message_events: int | None = None


class OpenCensusAgent(Address, frozen=True, kw_only=True):
    """An OpenCensus agent."""

    context: tuple[TraceContext, ...] = ()


class TracingTag(Model, frozen=True, kw_only=True):
    """Where a tag's value comes from."""

    literal: LiteralTag | None = None
    environment: EnvironmentTag | None = None
    header: HeaderTag | None = None


class Tracing(Model, frozen=True, kw_only=True):
    """Tracing of proxies (the older way; Telemetry is the newer one)."""

    zipkin: Address | None = None
    lightstep: LightstepAddress | None = None
    datadog: Address | None = None
    stackdriver: StackdriverTracing | None = None
    open_census_agent: OpenCensusAgent | None = None
    custom_tags: dict[str, TracingTag] = {}
    max_path_tag_length: UInt32 = 0
    sampling: Double | None = None
    tls_settings: ClientTlsSettings | None = None
    enable_istio_tags: bool | None = None


class Sds(Model, frozen=True, kw_only=True):
    """Secret discovery (settings of old versions)."""

    enabled: bool = False
    k8s_sa_jwt_path: str = ""


ForwardClientCert = Literal[
    "UNDEFINED", "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"
]


class Topology(Model, frozen=True, kw_only=True):
    """What stands before a gateway."""

    num_trusted_proxies: UInt32 = 0
    forward_client_cert_details: ForwardClientCert = "UNDEFINED"
    proxy_protocol: Empty | None = None


class HardwareCrypto(Model, frozen=True, kw_only=True):
    """Private keys handled by hardware."""

    poll_delay: Duration | None = None
    fallback: bool | None = None


class PrivateKeyProvider(Model, frozen=True, kw_only=True):
    """CryptoMB or QAT."""

    cryptomb: HardwareCrypto | None = None
    qat: HardwareCrypto | None = None


class RemoteService(Address, frozen=True, kw_only=True):
    """A remote sink of logs or metrics."""

    tls_settings: ClientTlsSettings | None = None
    tcp_keepalive: TcpKeepalive | None = None


class StatsMatcher(Model, frozen=True, kw_only=True):
    """Envoy statistics kept besides the standard ones."""

    inclusion_prefixes: tuple[str, ...] = ()
    inclusion_suffixes: tuple[str, ...] = ()
    inclusion_regexps: tuple[str, ...] = ()


class Disabling(Model, frozen=True, kw_only=True):
    """A header that can be turned off."""

    disabled: bool | None = None


class ServerHeader(Disabling, frozen=True, kw_only=True):
    """The `server` header."""

    value: str = ""


class Enabling(Model, frozen=True, kw_only=True):
    """A header that can be turned on."""

    enabled: bool | None = None


class MetadataExchangeHeaders(Model, frozen=True, kw_only=True):
    """Whether x-envoy-peer-metadata leaves the mesh."""

    mode: Literal["UNDEFINED", "IN_MESH"] = "UNDEFINED"


class ClientCertDetails(Model, frozen=True, kw_only=True):
    """What x-forwarded-client-cert tells."""

    subject: bool | None = None
    cert: bool | None = None
    chain: bool | None = None
    dns: bool | None = None
    uri: bool | None = None


class ProxyHeaders(Model, frozen=True, kw_only=True):
    """Headers proxies add on their own."""

    forwarded_client_cert: ForwardClientCert = "UNDEFINED"
    set_current_client_cert_details: ClientCertDetails | None = None
    request_id: Disabling | None = None
    server: ServerHeader | None = None
    attempt_count: Disabling | None = None
    envoy_debug_headers: Disabling | None = None
    metadata_exchange_headers: MetadataExchangeHeaders | None = None
    preserve_http1_header_case: bool | None = None
    x_forwarded_host: Enabling | None = None
    x_forwarded_port: Enabling | None = None


class ConnectionSettings(Model, frozen=True, kw_only=True):
    """Limits and timeouts of listeners and connections."""

    profile: Literal["SIDECAR", "EDGE"] = "SIDECAR"
    listener_per_connection_buffer_limit_bytes: int | None = None
    cluster_per_connection_buffer_limit_bytes: int | None = None
    http_idle_timeout: Duration | None = None
    http_max_connection_duration: Duration | None = None
    http_drain_timeout: Duration | None = None
    http_request_timeout: Duration | None = None
    http_request_headers_timeout: Duration | None = None
    http_stream_idle_timeout: Duration | None = None
    http_max_stream_duration: Duration | None = None
    http_max_concurrent_streams: int | None = None
    http2_initial_stream_window_size: int | None = None
    http2_initial_connection_window_size: int | None = None
    http_headers_with_underscores_action: Literal[
        "HEADERS_WITH_UNDERSCORES_UNSPECIFIED",
        "HEADERS_WITH_UNDERSCORES_ALLOW",
        "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST",
        "HEADERS_WITH_UNDERSCORES_DROP_HEADER",
    ] = "HEADERS_WITH_UNDERSCORES_UNSPECIFIED"
    http_merge_slashes: bool | None = None
    http_path_with_escaped_slashes_action: Literal[
        "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED",
        "KEEP_UNCHANGED",
        "REJECT_REQUEST",
        "UNESCAPE_AND_REDIRECT",
        "UNESCAPE_AND_FORWARD",
    ] = "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED"
    listener_connection_limit: int | None = None
    global_downstream_connection_limit: int | None = None


class ProxyConfig(Model, frozen=True, kw_only=True):
    """Defaults for every proxy."""

    config_path: str = ""
    binary_path: str = ""
    service_cluster: str | None = None
    tracing_service_name: (
        Literal["APP_LABEL_AND_NAMESPACE", "CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE"] | None
    ) = None
    drain_duration: Duration | None = None
    discovery_address: str = ""
    discovery_refresh_delay: Duration | None = None
    zipkin_address: str = ""
    statsd_udp_address: str = ""
    envoy_metrics_service_address: str = ""
    proxy_admin_port: int | None = None
    availability_zone: str = ""
    control_plane_auth_policy: Literal["NONE", "MUTUAL_TLS", "INHERIT"] = "MUTUAL_TLS"
    custom_config_file: str = ""
    stat_name_length: int | None = None
    concurrency: Annotated[int, limit(format="int32", minimum=0)] | None = None
    proxy_bootstrap_template_path: str = ""
    interception_mode: Literal["REDIRECT", "TPROXY", "NONE"] = "REDIRECT"
    tracing: Tracing | None = None
    sds: Sds | None = None
    envoy_access_log_service: RemoteService | None = None
    envoy_metrics_service: RemoteService | None = None
    proxy_metadata: dict[str, str] = {}
    runtime_values: dict[str, str] = {}
    status_port: int | None = None
    extra_stat_tags: tuple[str, ...] = ()
    gateway_topology: Topology | None = None
    termination_drain_duration: Duration | None = None
    mesh_id: str = ""
    readiness_probe: ReadinessProbe | None = None
    proxy_stats_matcher: StatsMatcher | None = None
    hold_application_until_proxy_starts: bool | None = None
    ca_certificates_pem: tuple[str, ...] = ()
    image: ProxyImage | None = None
    private_key_provider: PrivateKeyProvider | None = None
    proxy_headers: ProxyHeaders | None = None
    file_flush_interval: Duration | None = None
    file_flush_min_size_kb: UInt32 | None = None
    stats_compression: bool | None = None
    connection_settings: ConnectionSettings | None = None
