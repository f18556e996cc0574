"""Rules of a destination's policy: connection pools, outlier detection, TLS, tunnels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plait.resources.rules import balancing, names, words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_LIMITS = {
    "http1_max_pending_requests": "http1MaxPendingRequests",
    "http2_max_requests": "http2MaxRequests",
    "max_requests_per_connection": "maxRequestsPerConnection",
    "max_retries": "maxRetries",
    "max_concurrent_streams": "maxConcurrentStreams",
}
_SECTIONS = ("load_balancer", "connection_pool", "outlier_detection", "tls")


def whole(path: str, policy: Any) -> Iterator[Finding]:
    """The policy of a destination or of one of its subsets."""
    if policy is None:
        return
    others = (policy.port_level_settings, policy.tunnel, policy.proxy_protocol, policy.retry_budget)
    if not _given(policy) and not any(others):
        yield bad(path, "the policy is empty; give it a field or remove it")
    yield from _sections(path, policy)
    for index, each in enumerate(policy.port_level_settings):
        place = f"{path}.portLevelSettings[{index}]"
        if each.port is None:
            yield bad(f"{place}.port", "the port is missing; add port.number")
        else:
            yield from words.port(f"{place}.port.number", each.port.number)
        if not _given(each):
            yield bad(place, "the policy of the port is empty; give it a field or remove it")
        yield from _sections(place, each)
    if policy.tunnel is not None:
        yield from _tunnel(f"{path}.tunnel", policy.tunnel)
        if policy.proxy_protocol is not None:
            yield bad(path, "tunnel and proxyProtocol exclude each other; keep one of them")


def _given(policy: Any) -> bool:
    return any(getattr(policy, name) is not None for name in _SECTIONS)


def _tunnel(path: str, tunnel: Any) -> Iterator[Finding]:
    if tunnel.protocol not in ("", "CONNECT", "POST"):
        yield bad(f"{path}.protocol", f"{tunnel.protocol!r} is unknown; use CONNECT or POST")
    if not names.is_address(tunnel.target_host):
        yield from names.domain(f"{path}.targetHost", tunnel.target_host)
    yield from words.port(f"{path}.targetPort", tunnel.target_port)


def _sections(path: str, policy: Any) -> Iterator[Finding]:
    if policy.load_balancer is not None:
        yield from balancing.balancer(f"{path}.loadBalancer", policy.load_balancer)
    if policy.outlier_detection is not None:
        yield from _outliers(f"{path}.outlierDetection", policy.outlier_detection)
    yield from pool(f"{path}.connectionPool", policy.connection_pool)
    if policy.tls is not None:
        yield from client_tls(f"{path}.tls", policy.tls)


def _outliers(path: str, found: Any) -> Iterator[Finding]:
    shares = {"maxEjectionPercent": found.max_ejection_percent, "minHealthPercent": found.min_health_percent}
    for name, value in shares.items():
        if value is not None and not 0 <= value <= 100:
            yield bad(f"{path}.{name}", f"{value} is not a percent; write 0 to 100")
    yield from words.positive(f"{path}.interval", found.interval)
    yield from words.positive(f"{path}.baseEjectionTime", found.base_ejection_time)
    if found.consecutive_local_origin_failures and not found.split_external_local_origin_errors:
        text = "local failures are counted apart only with splitExternalLocalOriginErrors; set it, or remove this"
        yield bad(f"{path}.consecutiveLocalOriginFailures", text)


def pool(path: str, found: Any) -> Iterator[Finding]:
    """How many connections and requests may be open, and for how long."""
    if found is None:
        return
    if found.tcp is None and found.http is None:
        yield bad(path, "the connection pool is empty; give it tcp or http, or remove it")
    if (tcp := found.tcp) is not None:
        if tcp.max_connections < 0:
            yield bad(f"{path}.tcp.maxConnections", "the number is negative; write 0 or more")
        yield from words.positive(f"{path}.tcp.connectTimeout", tcp.connect_timeout)
        yield from words.positive(f"{path}.tcp.maxConnectionDuration", tcp.max_connection_duration)
        yield from words.positive(f"{path}.tcp.idleTimeout", tcp.idle_timeout)
        if tcp.tcp_keepalive is not None:
            yield from words.positive(f"{path}.tcp.tcpKeepalive.time", tcp.tcp_keepalive.time)
            yield from words.positive(f"{path}.tcp.tcpKeepalive.interval", tcp.tcp_keepalive.interval)
    if (http := found.http) is not None:
        for name, field in _LIMITS.items():
            if getattr(http, name) < 0:
                yield bad(f"{path}.http.{field}", "the number is negative; write 0 or more")
        yield from words.positive(f"{path}.http.idleTimeout", http.idle_timeout)
        if http.h2_upgrade_policy == "UPGRADE" and http.use_client_protocol:
            yield bad(f"{path}.http", "useClientProtocol and h2UpgradePolicy UPGRADE exclude each other; keep one")


def client_tls(path: str, tls: Any) -> Iterator[Finding]:
    """TLS of one who connects: what names its certificate and what it trusts."""
    own = {"clientCertificate": tls.client_certificate, "privateKey": tls.private_key}
    files = {**own, "caCertificates": tls.ca_certificates, "caCrl": tls.ca_crl}
    if tls.credential_name and tls.mode in ("SIMPLE", "MUTUAL"):
        for name in (name for name, value in files.items() if value):
            yield bad(f"{path}.{name}", f"credentialName brings what {name} would; keep one of them")
    elif tls.mode == "MUTUAL":
        for name in (name for name, value in own.items() if not value):
            yield bad(f"{path}.{name}", f"mode MUTUAL needs {name} or credentialName; add one")
    if tls.insecure_skip_verify:
        if tls.ca_certificates:
            yield bad(f"{path}.caCertificates", "with insecureSkipVerify the roots are not used; remove one of them")
        if tls.subject_alt_names:
            yield bad(f"{path}.subjectAltNames", "insecureSkipVerify checks no names; remove one of them")
        if tls.credential_name and tls.mode == "SIMPLE":
            text = "with insecureSkipVerify and mode SIMPLE the credential is not used; remove one of them"
            yield bad(f"{path}.credentialName", text)
