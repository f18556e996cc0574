"""The mesh configuration (ConfigMap istio of the root namespace) -> settings, sinks and external authorizers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import structs

from plait.model.compile.traffic import ciphers, mesh_unread, policies, virtualservice_http
from plait.model.compile.traffic.report import PROVIDER, Report
from plait.model.compile.traffic.values import seconds
from plait.model.http_security import Authorizer, Body
from plait.model.http_telemetry import Sink, SinkKind, SpanTag
from plait.model.l7 import L7Settings, ProxyHeaders
from plait.model.mesh import Settings
from plait.resources.mesh_config import mesh
from plait.resources.mesh_config.mesh import MeshConfig, TLSConfig
from plait.resources.mesh_config.providers import ExtAuthzGrpc, ExtAuthzHttp, ExtensionProvider
from plait.resources.mesh_config.proxy import ProxyHeaders as Written
from plait.resources.mesh_config.proxy import Tracing, TracingTag
from plait.resources.problems import Problem

CONFIG_MAP = "istio"
_SINKS: dict[str, SinkKind] = {
    "prometheus": "prometheus",
    "envoy_file_access_log": "file",
    "envoy_otel_als": "otel_log",
    "envoy_http_als": "http_als",
    "envoy_tcp_als": "tcp_als",
    "opentelemetry": "otel_span",
    "zipkin": "zipkin",
    "datadog": "datadog",
    "skywalking": "skywalking",
}
_BUILT_IN = {
    "prometheus": Sink("prometheus", "prometheus"),
    "envoy": Sink("envoy", "file"),
}
"""Providers that need not be configured, as in Istio."""
_STATUSES = frozenset(str(each.value) for each in HTTPStatus) - {"101", "102", "103", "418", "425", "451"}
"""Those that Envoy has a word for; any other takes the whole listener down."""
_NORMAL = {"NONE": "none", "MERGE_SLASHES": "merge_slashes", "DECODE_AND_MERGE_SLASHES": "decode_and_merge_slashes"}


class Configured(msgspec.Struct, frozen=True):
    settings: L7Settings
    authorizers: Mapping[str, Authorizer]
    sinks: Mapping[str, Sink]
    service_exports: tuple[str, ...]
    route_exports: tuple[str, ...]
    rule_exports: tuple[str, ...]
    problems: tuple[Problem, ...] = ()


def configured(text: str, settings: Settings) -> Configured:
    config, problems = mesh.read(text, "mesh") if text.strip() else (MeshConfig(), ())
    report = Report("MeshConfig", settings.root_namespace, CONFIG_MAP)
    authorizers, sinks = {}, dict(_BUILT_IN)
    for number, provider in enumerate(config.extension_providers):
        path = f"extensionProviders[{number}]"
        if (authorizer := _authorizer(provider, path, report)) is not None:
            authorizers[provider.name] = authorizer
        elif (sink := _sink(provider, path, report)) is not None:
            sinks[provider.name] = sink
        else:
            report.unsupported(path, "use one of the other kinds of providers")
    mesh_unread.told(config, settings, report)
    return Configured(
        _settings(config, report),
        authorizers,
        sinks,
        config.default_service_export_to,
        config.default_virtual_service_export_to,
        config.default_destination_rule_export_to,
        (*problems, *report.problems),
    )


def _settings(config: MeshConfig, report: Report) -> L7Settings:
    base = L7Settings()
    policy = config.default_traffic_policy
    topology = config.default_config.gateway_topology
    tracing = config.default_config.tracing or Tracing()
    if config.outbound_traffic_policy.mode == "ALLOW_ANY_DYNAMIC_DNS":
        report.unsupported("outboundTrafficPolicy.mode", "ALLOW_ANY is used instead")
    mesh_suites, mesh_curves = _ciphers(config.mesh_mtls, "meshMTLS", report)
    other_suites, other_curves = _ciphers(config.tls_defaults, "tlsDefaults", report)
    least = config.mesh_mtls.min_protocol_version if config.mesh_mtls is not None else ""
    return L7Settings(
        unknown_outbound="registry_only" if config.outbound_traffic_policy.mode == "REGISTRY_ONLY" else "allow_any",
        inbound_localhost=config.inbound_traffic_policy.mode == "LOCALHOST",
        auto_mtls=config.enable_auto_mtls is not False,
        sniffing_timeout=seconds(config.protocol_detection_timeout, "protocolDetectionTimeout", report) or 0.0,
        connect_timeout=seconds(config.connect_timeout, "connectTimeout", report) or base.connect_timeout,
        path_normalization=_NORMAL.get(config.path_normalization.normalization, "base"),  # type: ignore[arg-type]
        upgrade_to_http2=config.h2_upgrade_policy == "UPGRADE",
        dns_refresh=seconds(config.dns_refresh_rate, "dnsRefreshRate", report) or base.dns_refresh,
        retry=virtualservice_http.retry(config.default_http_retry_policy, "defaultHttpRetryPolicy", report),
        pool=policies.pool(policy.connection_pool, "defaultTrafficPolicy.connectionPool", report) if policy else None,
        outliers=policies.outliers(policy.outlier_detection, "defaultTrafficPolicy.outlierDetection", report)
        if policy
        else None,
        locality=policies.locality(config.locality_lb_setting, config.zone_aware_lb_setting),
        trust_domain_aliases=config.trust_domain_aliases,
        tracing=config.enable_tracing,
        tracing_sinks=config.default_providers.tracing,
        logging_sinks=config.default_providers.access_logging,
        metrics_sinks=config.default_providers.metrics or base.metrics_sinks,
        access_log_file=config.access_log_file,
        access_log_format=config.access_log_format,
        access_log_json=config.access_log_encoding == "JSON",
        sampling=tracing.sampling if tracing.sampling is not None else base.sampling,
        trusted_hops=topology.num_trusted_proxies if topology is not None else 0,
        client_certificate_details=topology.forward_client_cert_details.lower()
        if topology is not None and topology.forward_client_cert_details != "UNDEFINED"
        else "",
        tls_least={"TLSV1_2": "1.2", "TLSV1_3": "1.3"}.get(least, ""),  # type: ignore[arg-type]
        tls_ciphers=mesh_suites,
        tls_curves=mesh_curves,
        other_ciphers=other_suites,
        other_curves=other_curves,
        keepalive=policies.keepalive(config.tcp_keepalive, "tcpKeepalive", report),
        span_tags=tuple(_tag(name, tag) for name, tag in sorted(tracing.custom_tags.items())),
        istio_tags=tracing.enable_istio_tags is not False,
        path_tag_length=tracing.max_path_tag_length,
        headers=_headers(config.default_config.proxy_headers),
        proxy_protocol=topology is not None and topology.proxy_protocol is not None,
    )


def _ciphers(given: TLSConfig | None, path: str, report: Report) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Suites and curves, without those that Envoy does not know: it would refuse every listener."""
    if given is None:
        return (), ()
    return (
        ciphers.suites(given.cipher_suites, f"{path}.cipherSuites", report),
        ciphers.curves(given.ecdh_curves, f"{path}.ecdhCurves", report),
    )


def _tag(name: str, tag: TracingTag) -> SpanTag:
    if tag.environment is not None:
        return SpanTag(name, "environment", tag.environment.name, tag.environment.default_value)
    if tag.header is not None:
        return SpanTag(name, "header", tag.header.name, tag.header.default_value)
    return SpanTag(name, "literal", tag.literal.value if tag.literal is not None else "")


def _headers(given: Written | None) -> ProxyHeaders:
    found = ProxyHeaders()
    if given is None:
        return found
    off = {
        name: False
        for name, each in (
            ("request_id", given.request_id),
            ("attempt_count", given.attempt_count),
            ("debug", given.envoy_debug_headers),
        )
        if each is not None and each.disabled
    }
    server = given.server
    name = found.server if server is None else None if server.disabled else server.value or found.server
    port = given.x_forwarded_port
    return structs.replace(found, **off, server=name, forwarded_port=port is not None and bool(port.enabled))


def _address(service: str) -> tuple[str, str]:
    """(namespace, hostname) of `[namespace/]hostname`."""
    namespace, _, hostname = service.rpartition("/")
    return namespace, hostname.lower()


def _authorizer(provider: ExtensionProvider, path: str, report: Report) -> Authorizer | None:
    http, grpc = provider.envoy_ext_authz_http, provider.envoy_ext_authz_grpc
    given: ExtAuthzHttp | ExtAuthzGrpc | None = http or grpc
    if given is None:
        return None
    namespace, hostname = _address(given.service)
    body = given.include_request_body_in_check
    field, broken = _wrong(given)
    if broken:
        report.error(PROVIDER, f"{path}.{field}", f"{broken}; what asks it is denied meanwhile, mend it")
    return Authorizer(
        name=provider.name,
        protocol="http" if http is not None else "grpc",
        hostname=hostname,
        port=given.port,
        namespace=namespace,
        timeout=seconds(given.timeout, f"{path}.timeout", report),
        fail_open=given.fail_open,
        status_on_error=int(given.status_on_error or 403) if not broken else 403,
        path_prefix=http.path_prefix if http is not None else "",
        clear_route_cache=given.clear_route_cache,
        # The second is the old name of the first, which counts where both are there.
        headers=http.include_request_headers_in_check or http.include_headers_in_check if http is not None else (),
        extra_headers=tuple(sorted(http.include_additional_headers_in_check.items())) if http is not None else (),
        body=Body(body.max_request_bytes, body.allow_partial_message, body.pack_as_bytes) if body else None,
        upstream_headers=http.headers_to_upstream_on_allow if http is not None else (),
        deny_headers=http.headers_to_downstream_on_deny if http is not None else (),
        allow_headers=http.headers_to_downstream_on_allow if http is not None else (),
        broken=broken,
    )


def _wrong(given: ExtAuthzHttp | ExtAuthzGrpc) -> tuple[str, str]:
    """(field, why) of what makes an authorizer one that cannot be asked; ("", "") when nothing does."""
    body = given.include_request_body_in_check
    prefix = given.path_prefix if isinstance(given, ExtAuthzHttp) else ""
    if not given.service:
        return "service", "no service is given"
    if given.status_on_error and given.status_on_error not in _STATUSES:
        return "statusOnError", f"{given.status_on_error!r} is no HTTP status that a proxy can answer with"
    if prefix and not prefix.startswith("/"):
        return "pathPrefix", f"{prefix!r} does not begin with /"
    if body is not None and body.max_request_bytes == 0:
        return "includeRequestBodyInCheck.maxRequestBytes", "of a body nothing could be shown"
    return "", ""


def _sink(provider: ExtensionProvider, path: str, report: Report) -> Sink | None:
    for field, kind in _SINKS.items():
        given: Any = getattr(provider, field)
        if given is not None:
            namespace, hostname = _address(getattr(given, "service", ""))
            options = tuple(sorted(_options(given, path, report)))
            return Sink(provider.name, kind, hostname, getattr(given, "port", 0), namespace, options)
    return None


def _options(given: Any, path: str, report: Report) -> Iterator[tuple[str, Any]]:
    """What the sink's own part of Envoy reads, times in seconds; of a format its text and labels."""
    written = _timed(msgspec.to_builtins(given), path, report)
    written |= written.pop("logFormat", {})
    return ((name, value) for name, value in written.items() if name not in ("service", "port"))


def _timed(written: dict[str, Any], path: str, report: Report) -> dict[str, Any]:
    return {
        name: _timed(value, f"{path}.{name}", report)
        if isinstance(value, dict)
        else seconds(value, f"{path}.{name}", report)
        if name == "timeout"
        else value
        for name, value in written.items()
    }
