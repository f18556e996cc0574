"""Rules of the mesh configuration and of the proxies' settings in it (or in a pod's annotation)."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from plait.resources import durations
from plait.resources.rules import balancing, names, traffic_policy, words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_LONGEST_CONNECT = 3600
_HOST_IP = "$(HOST_IP)"
"""A name for the node's address that collectors on the node are given by."""
_STATUSES = frozenset(map(str, HTTPStatus)) - {"101", "102", "103", "306", "418", "425", "451"}
"""Those that Envoy has a name for."""
_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>\d+)")


def mesh(config: Any, said: frozenset[str]) -> Iterator[Finding]:
    """`said`: the fields that were written, apart from those that only have their defaults."""
    yield from words.port("proxyListenPort", config.proxy_listen_port)
    yield from _between("connectTimeout", config.connect_timeout, 0.001, _LONGEST_CONNECT)
    if durations.seconds(config.protocol_detection_timeout):
        yield from words.positive("protocolDetectionTimeout", config.protocol_detection_timeout)
    if config.locality_lb_setting is not None:
        yield from balancing.localities("localityLbSetting", config.locality_lb_setting)
    if {"localityLbSetting", "zoneAwareLbSetting"} <= said:
        yield bad("zoneAwareLbSetting", "it and localityLbSetting exclude each other; keep one of them")
    for number, settings in enumerate(config.service_settings):
        for index, host in enumerate(settings.hosts):
            yield from words.host(f"serviceSettings[{number}].hosts[{index}]", host, partial=True)
    yield from _trust_domain("trustDomain", config.trust_domain)
    for index, alias in enumerate(config.trust_domain_aliases):
        yield from _trust_domain(f"trustDomainAliases[{index}]", alias)
    yield from _log_format(config.access_log_format, config.access_log_encoding)
    yield from words.unique("extensionProviders", [each.name for each in config.extension_providers], "provider")
    for index, provider in enumerate(config.extension_providers):
        yield from _provider(f"extensionProviders[{index}]", provider)
    for found in proxy(config.default_config):
        yield found._replace(path=f"defaultConfig.{found.path}")


def proxy(config: Any) -> Iterator[Finding]:
    """Settings of proxies, as `defaultConfig` or the annotation proxy.istio.io/config has them."""
    yield from words.whole_seconds("drainDuration", config.drain_duration)
    for field, number in (("proxyAdminPort", config.proxy_admin_port), ("statusPort", config.status_port)):
        yield from words.port(field, number)
    if config.service_cluster == "":
        yield bad("serviceCluster", "the name is empty; give one or remove the field")
    addresses = {
        "discoveryAddress": config.discovery_address,
        "statsdUdpAddress": config.statsd_udp_address,
        "envoyMetricsServiceAddress": config.envoy_metrics_service_address,
    }
    for field, remote in (
        ("envoyMetricsService", config.envoy_metrics_service),
        ("envoyAccessLogService", config.envoy_access_log_service),
    ):
        addresses[f"{field}.address"] = remote.address if remote is not None else ""
    for path, address in addresses.items():
        if address:
            yield from _address(path, address)
    if config.tracing is not None:
        yield from _tracing(config.tracing)
    if config.private_key_provider is not None:
        yield from _keys(config.private_key_provider)


def _between(path: str, text: str, low: float, high: float) -> Iterator[Finding]:
    yield from words.positive(path, text)
    number = durations.seconds(text)
    if number is not None and number > high >= low:
        yield bad(path, f"{text} is longer than {high:g}s; write a shorter duration")


def _trust_domain(path: str, value: str) -> Iterator[Finding]:
    labels = value.removesuffix(".").split(".")
    if not all(map(names.is_label, labels)):
        yield bad(path, f"{value!r} is not a trust domain; write a host name such as cluster.local")


def _address(path: str, value: str) -> Iterator[Finding]:
    """`host:port`, the host a name, an IPv4 address, or an IPv6 address in brackets."""
    found = _ADDRESS.fullmatch(value)
    if found is None or not 1 <= int(found["port"]) <= 65535 or not _is_host(found["host"], found["v6"]):
        yield bad(path, f"{value!r} is no address; write HOST:PORT, as collector.example:9411 or [2001:db8::1]:9411")


def _is_host(host: str | None, v6: str | None) -> bool:
    if host is not None:
        return names.is_address(host) or names.is_domain(host)
    try:
        return ipaddress.ip_address(v6 or "").version == 6
    except ValueError:
        return False


def _tracing(tracing: Any) -> Iterator[Finding]:
    for field in ("zipkin", "datadog", "lightstep"):
        collector = getattr(tracing, field)
        if collector is not None:
            address = collector.address if field == "lightstep" else collector.address.replace(_HOST_IP, "127.0.0.1", 1)
            yield from _address(f"tracing.{field}.address", address)
    if tracing.lightstep is not None and not tracing.lightstep.access_token:
        yield bad("tracing.lightstep.accessToken", "Lightstep needs a token; add it")
    if tracing.tls_settings is not None:
        yield from traffic_policy.client_tls("tracing.tlsSettings", tracing.tls_settings)


def _keys(found: Any) -> Iterator[Finding]:
    given = {"cryptomb": found.cryptomb, "qat": found.qat}
    yield from words.exactly_one("privateKeyProvider", given)
    for field, hardware in given.items():
        if hardware is not None and not durations.seconds(hardware.poll_delay or "0s"):
            yield bad(f"privateKeyProvider.{field}.pollDelay", "a delay above zero is needed; write one such as 10ms")


# Formats and providers ------------------------------------------------------------------------------------------------


def _log_format(text: str, encoding: str) -> Iterator[Finding]:
    if encoding != "JSON" or not text:
        yield from words.format_string("accessLogFormat", text)
        return
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if isinstance(fields, dict):
        yield from _formats("accessLogFormat", fields)
    else:
        yield bad("accessLogFormat", "accessLogEncoding is JSON, but this is no JSON object; write one, or say TEXT")


def _formats(path: str, value: Any) -> Iterator[Finding]:
    """Every text in a structure is a format string of its own."""
    if isinstance(value, str):
        yield from words.format_string(path, value)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _formats(f"{path}[{key}]", each)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _formats(f"{path}[{index}]", each)


def _provider(path: str, provider: Any) -> Iterator[Finding]:
    if not provider.name:
        yield bad(f"{path}.name", "the provider has no name; give it one")
    given = {
        field: getattr(provider, name)
        for name, field in zip(provider.__struct_fields__, provider.__struct_encode_fields__, strict=True)
        if name != "name"
    }
    yield from words.exactly_one(path, {field: found is not None for field, found in given.items()})
    for field, found in given.items():
        if found is not None:
            yield from _settings(f"{path}.{field}", found)


def _settings(path: str, found: Any) -> Iterator[Finding]:
    if (service := getattr(found, "service", None)) is not None:
        yield from _service(f"{path}.service", service)
    if (status := getattr(found, "status_on_error", "")) and status not in _STATUSES:
        yield bad(f"{path}.statusOnError", f"{status!r} is no status of HTTP; write one such as 503")
    if (prefix := getattr(found, "path_prefix", "")) and not prefix.startswith("/"):
        yield bad(f"{path}.pathPrefix", f"{prefix!r} does not begin with '/'; add it")
    if path.endswith(".lightstep") and not found.access_token:
        yield bad(f"{path}.accessToken", "Lightstep needs a token; add it")
    if getattr(found, "http", None) is not None and getattr(found, "grpc", None) is not None:
        yield bad(path, "http and grpc exclude each other; keep one of them")
    if (form := getattr(found, "log_format", None)) is not None:
        yield from words.format_string(f"{path}.logFormat.text", form.text or "")
        yield from _formats(f"{path}.logFormat.labels", form.labels or {})


def _service(path: str, value: str) -> Iterator[Finding]:
    """A host or an address; or `namespace/host`, where the host has a dot."""
    namespace, slash, host = value.partition("/")
    if not slash:
        fine = names.is_domain(value) or names.is_address(value)
    else:
        fine = names.is_label(namespace) and "." in host and names.is_domain(host)
    if not fine:
        yield bad(path, f"{value!r} is no service; write its host (the port has a field), or NAMESPACE/HOST")
