"""TrafficPolicy of a DestinationRule -> TrafficPolicy, field by field. Also the pools and outliers of other kinds."""

from __future__ import annotations

from typing import Final

from plait.model.compile.traffic.report import BAD_VALUE, Report
from plait.model.compile.traffic.values import seconds, text_of
from plait.model.traffic import (
    NO_POLICY,
    ClientTls,
    Cookie,
    Distribute,
    Hash,
    Keepalive,
    LoadBalancing,
    LocalityPolicy,
    Outliers,
    Pool,
    RetryBudget,
    Simple,
    TrafficPolicy,
    TunnelPolicy,
    Warmup,
)
from plait.resources.networking import destination_rule as written
from plait.resources.networking import traffic

_SIMPLE: dict[str, Simple] = {
    "LEAST_CONN": "least_request",
    "LEAST_REQUEST": "least_request",
    "RANDOM": "random",
    "PASSTHROUGH": "passthrough",
    "ROUND_ROBIN": "round_robin",
}
_PING: Final = 0.001
"""Seconds: Envoy takes nothing shorter."""
_MODES = {"DISABLE": "disable", "SIMPLE": "simple", "MUTUAL": "mutual", "ISTIO_MUTUAL": "istio_mutual"}


def policy(given: written.TrafficPolicy | None, path: str, report: Report) -> TrafficPolicy:
    if given is None:
        return NO_POLICY
    ports = []
    for number, port in enumerate(given.port_level_settings):
        if port.port is not None:
            ports.append((port.port.number, _core(port, f"{path}.portLevelSettings[{number}]", report)))
    core = _core(given, path, report)
    tunnel = None
    if (wish := given.tunnel) is not None:
        method = wish.protocol or "CONNECT"
        if method not in ("CONNECT", "POST"):
            report.error(BAD_VALUE, f"{path}.tunnel.protocol", f"{method!r} is unknown; write CONNECT or POST")
        tunnel = TunnelPolicy("POST" if method == "POST" else "CONNECT", wish.target_host, wish.target_port)
    budget = None
    if (wished := given.retry_budget) is not None:
        interval = seconds(wished.budget_interval, f"{path}.retryBudget.budgetInterval", report)
        budget = RetryBudget(wished.percent, wished.min_retry_concurrency, interval)
    proxy = given.proxy_protocol
    return TrafficPolicy(
        core.balancing,
        core.pool,
        core.outliers,
        core.tls,
        tunnel,
        "" if proxy is None else "v2" if proxy.version == "V2" else "v1",
        budget,
        tuple(ports),
    )


def _core(given: written.TrafficPolicy | written.PortTrafficPolicy, path: str, report: Report) -> TrafficPolicy:
    return TrafficPolicy(
        balancing(given.load_balancer, f"{path}.loadBalancer", report),
        pool(given.connection_pool, f"{path}.connectionPool", report),
        outliers(given.outlier_detection, f"{path}.outlierDetection", report),
        client_tls(given.tls),
    )


def balancing(given: traffic.LoadBalancerSettings | None, path: str, report: Report) -> LoadBalancing | None:
    if given is None:
        return None
    hashed = None
    if (wish := given.consistent_hash) is not None:
        hashed = _hash(wish, f"{path}.consistentHash", report)
    warmup = None
    if (slow := given.warmup) is not None:
        length = seconds(slow.duration, f"{path}.warmup.duration", report)
        warmup = Warmup(length, slow.minimum_percent, slow.aggression) if length else None
    elif given.warmup_duration_secs is not None:
        length = seconds(given.warmup_duration_secs, f"{path}.warmupDurationSecs", report)
        warmup = Warmup(length) if length else None
    simple = _SIMPLE.get(given.simple or "", "")
    if warmup is not None and (hashed is not None or simple in ("random", "passthrough")):
        text = "warm-up works with ROUND_ROBIN and LEAST_REQUEST only; change one of them"
        report.say(BAD_VALUE, f"{path}.warmup", text)
        warmup = None
    near = locality(given.locality_lb_setting, given.zone_aware_lb_setting)
    return LoadBalancing(simple, hashed, near, warmup)


def _hash(given: traffic.ConsistentHash, path: str, report: Report) -> Hash | None:
    found = Hash(
        text_of(given.http_header_name or "", f"{path}.httpHeaderName", report),
        _cookie(given.http_cookie, f"{path}.httpCookie", report) if given.http_cookie is not None else None,
        bool(given.use_source_ip),
        given.http_query_parameter_name or "",
        "maglev" if given.maglev is not None else "ring",
        given.maglev.table_size
        if given.maglev is not None
        else given.ring_hash.minimum_ring_size
        if given.ring_hash is not None
        else given.minimum_ring_size or 0,
    )
    if not (found.header or found.cookie or found.source_ip or found.query):
        text = "nothing is said to be hashed; add httpHeaderName, httpCookie, useSourceIp or httpQueryParameterName"
        report.error(BAD_VALUE, path, text)
        return None
    return found


def _cookie(given: traffic.HttpCookie, path: str, report: Report) -> Cookie | None:
    name = text_of(given.name, f"{path}.name", report)
    if not name:
        report.error(BAD_VALUE, f"{path}.name", "a cookie needs a name; write one such as session")
        return None
    attributes = []
    for number, each in enumerate(given.attributes):
        where = f"{path}.attributes[{number}]"
        if word := text_of(each.name, f"{where}.name", report):
            attributes.append((word, text_of(each.value, f"{where}.value", report)))
    return Cookie(name, given.path, seconds(given.ttl, f"{path}.ttl", report), tuple(attributes))


def locality(
    given: traffic.LocalityLoadBalancerSetting | None, zones: traffic.ZoneAwareLoadBalancerSetting | None = None
) -> LocalityPolicy | None:
    if zones is not None:
        return LocalityPolicy(
            zones.enabled,
            (),
            tuple((each.from_, each.to) for each in zones.failover),
            zones.failover_priority,
            True,
            zones.min_cluster_size,
        )
    if given is None:
        return None
    return LocalityPolicy(
        given.enabled,
        tuple(Distribute(each.from_, tuple(sorted(each.to.items()))) for each in given.distribute),
        tuple((each.from_, each.to) for each in given.failover),
        given.failover_priority,
    )


def keepalive(given: traffic.TcpKeepalive | None, path: str, report: Report) -> Keepalive | None:
    if given is None:
        return None
    time, interval = (
        seconds(text, f"{path}.{n}", report) for n, text in (("time", given.time), ("interval", given.interval))
    )
    return Keepalive(given.probes, time, interval)


def _count(given: int, path: str, report: Report) -> int:
    """A bound; 0, none, for what is no number of things."""
    if given < 0:
        report.error(BAD_VALUE, path, f"{given} is no bound; write 0 or more")
    return max(given, 0)


def pool(given: traffic.ConnectionPoolSettings | None, path: str, report: Report) -> Pool | None:
    if given is None:
        return None
    tcp, http = given.tcp or traffic.TcpSettings(), given.http or traffic.HttpSettings()
    ping = http.http2_keep_alive
    return Pool(
        max_connections=_count(tcp.max_connections, f"{path}.tcp.maxConnections", report),
        connect_timeout=seconds(tcp.connect_timeout, f"{path}.tcp.connectTimeout", report),
        keepalive=keepalive(tcp.tcp_keepalive, f"{path}.tcp.tcpKeepalive", report),
        max_connection_duration=seconds(tcp.max_connection_duration, f"{path}.tcp.maxConnectionDuration", report)
        or None,
        tcp_idle_timeout=seconds(tcp.idle_timeout, f"{path}.tcp.idleTimeout", report),
        max_pending_requests=_count(http.http1_max_pending_requests, f"{path}.http.http1MaxPendingRequests", report),
        max_requests=_count(http.http2_max_requests, f"{path}.http.http2MaxRequests", report),
        max_requests_per_connection=_count(
            http.max_requests_per_connection, f"{path}.http.maxRequestsPerConnection", report
        ),
        max_retries=_count(http.max_retries, f"{path}.http.maxRetries", report),
        http_idle_timeout=seconds(http.idle_timeout, f"{path}.http.idleTimeout", report),
        upgrade={"UPGRADE": "always", "DO_NOT_UPGRADE": "never"}.get(http.h2_upgrade_policy, ""),  # type: ignore[arg-type]
        client_protocol=http.use_client_protocol,
        max_streams=_count(http.max_concurrent_streams, f"{path}.http.maxConcurrentStreams", report),
        ping_interval=seconds(ping.interval, f"{path}.http.http2KeepAlive.interval", report, _PING) if ping else None,
        ping_timeout=seconds(ping.timeout, f"{path}.http.http2KeepAlive.timeout", report, _PING) if ping else None,
    )


def outliers(given: written.OutlierDetection | None, path: str, report: Report) -> Outliers | None:
    if given is None:
        return None
    errors = given.consecutive_errors
    if errors is not None and errors < 0:
        report.error(BAD_VALUE, f"{path}.consecutiveErrors", f"{errors} is no number of errors; write 0 or more")
        errors = None
    return Outliers(
        given.split_external_local_origin_errors,
        given.consecutive_local_origin_failures,
        given.consecutive_gateway_errors,
        given.consecutive_5xx_errors if given.consecutive_5xx_errors is not None else errors,
        seconds(given.interval, f"{path}.interval", report),
        seconds(given.base_ejection_time, f"{path}.baseEjectionTime", report),
        given.max_ejection_percent,
        given.min_health_percent,
        given.outlier_detection_http_error_codes,
    )


def client_tls(given: written.ClientTlsSettings | None) -> ClientTls | None:
    if given is None:
        return None
    return ClientTls(
        _MODES[given.mode],  # type: ignore[arg-type]
        given.sni,
        given.subject_alt_names,
        given.client_certificate,
        given.private_key,
        given.ca_certificates,
        given.ca_crl,
        given.credential_name.removeprefix("kubernetes://"),
        insecure=bool(given.insecure_skip_verify),
    )
