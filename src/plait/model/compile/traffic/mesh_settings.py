"""The mesh configuration (ConfigMap istio of the root namespace) -> settings, sinks and external authorizers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from plait.model.compile.traffic import policies, virtualservice_http
from plait.model.compile.traffic.report import PROVIDER, Report
from plait.model.compile.traffic.values import seconds
from plait.model.http_security import Authorizer, Body
from plait.model.http_telemetry import Sink, SinkKind
from plait.model.l7 import L7Settings
from plait.model.mesh import Settings
from plait.resources.mesh_config import mesh
from plait.resources.mesh_config.mesh import MeshConfig
from plait.resources.mesh_config.providers import ExtAuthzGrpc, ExtAuthzHttp, ExtensionProvider
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
        elif (sink := _sink(provider)) is not None:
            sinks[provider.name] = sink
        else:
            report.unsupported(path, "use one of the other kinds of providers")
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
    tracing = config.default_config.tracing
    tls = config.mesh_mtls
    if config.outbound_traffic_policy.mode == "ALLOW_ANY_DYNAMIC_DNS":
        report.unsupported("outboundTrafficPolicy.mode", "ALLOW_ANY is used instead")
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
        sampling=tracing.sampling if tracing is not None and tracing.sampling is not None else base.sampling,
        trusted_hops=topology.num_trusted_proxies if topology is not None else 0,
        client_certificate_details=topology.forward_client_cert_details.lower()
        if topology is not None and topology.forward_client_cert_details != "UNDEFINED"
        else "",
        tls_least={"TLSV1_2": "1.2", "TLSV1_3": "1.3"}.get(tls.min_protocol_version, "") if tls else "",  # type: ignore[arg-type]
        tls_ciphers=tls.cipher_suites if tls is not None else (),
    )


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
        headers=(*http.include_request_headers_in_check, *http.include_headers_in_check) if http is not None else (),
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


def _sink(provider: ExtensionProvider) -> Sink | None:
    for field, kind in _SINKS.items():
        given: Any = getattr(provider, field)
        if given is not None:
            namespace, hostname = _address(getattr(given, "service", ""))
            options = tuple(sorted(_options(given)))
            return Sink(provider.name, kind, hostname, getattr(given, "port", 0), namespace, options)
    return None


def _options(given: Any) -> Iterator[tuple[str, Any]]:
    written = msgspec.to_builtins(given)
    return ((name, value) for name, value in written.items() if name not in ("service", "port"))
