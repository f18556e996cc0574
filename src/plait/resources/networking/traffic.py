"""Words that several Istio networking kinds share: matches, destinations, selectors, pools, TLS.

No kind is defined here and nothing is checked; the rules are in `plait.resources.rules`.
"""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

from typing import Annotated, Literal

from plait.resources.markers import (
    Double,
    Duration,
    Int32,
    LabelMap,
    Model,
    Percent,
    Text,
    UInt32,
    UInt64,
    limit,
)

_GROUP = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_KIND = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"


class StringMatch(Model, frozen=True, kw_only=True):
    """A string compared exactly, by its beginning, or with an RE2 expression over the whole value."""

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


class PortSelector(Model, frozen=True, kw_only=True):
    """The port of a service, by number."""

    number: UInt32 = 0


class Destination(Model, frozen=True, kw_only=True):
    """A service of the registry: its host name, optionally one of its subsets and one of its ports."""

    host: str
    subset: str = ""
    port: PortSelector | None = None


class FractionPercent(Model, frozen=True, kw_only=True):
    """A share of all requests, 0.0 to 100.0."""

    value: Double = 0.0


class WorkloadSelector(Model, frozen=True, kw_only=True):
    """The pods or VMs of the namespace that carry all these labels (older spelling, field `labels`)."""

    labels: Annotated[dict[str, Annotated[str, limit(maxLength=63)]], limit(maxProperties=256)] = {}


class LabelMatch(Model, frozen=True, kw_only=True):
    """The workloads of the namespace that carry all these labels."""

    match_labels: LabelMap = {}


class TargetReference(Model, frozen=True, kw_only=True):
    """An object of the same namespace that the policy hangs on: a Gateway, GatewayClass, Service or ServiceEntry."""

    group: Annotated[str, limit(maxLength=253, pattern=_GROUP)] = ""
    kind: Annotated[str, limit(minLength=1, maxLength=63, pattern=_KIND)]
    name: Annotated[str, limit(minLength=1, maxLength=253)]
    namespace: str = ""


TargetReferences = Annotated[tuple[TargetReference, ...], limit(maxItems=16)]


class TcpKeepalive(Model, frozen=True, kw_only=True):
    """SO_KEEPALIVE on upstream sockets: idle time before the first probe, interval and number of probes."""

    probes: UInt32 = 0
    time: Duration | None = None
    interval: Duration | None = None


class TcpSettings(Model, frozen=True, kw_only=True):
    """Limits on connections, for HTTP and TCP upstreams alike."""

    max_connections: Int32 = 0
    connect_timeout: Duration | None = None
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: Duration | None = None
    idle_timeout: Duration | None = None


class Http2KeepAlive(Model, frozen=True, kw_only=True):
    """HTTP/2 PING on upstream connections."""

    interval: Duration | None = None
    timeout: Duration | None = None


class HttpSettings(Model, frozen=True, kw_only=True):
    """Limits on HTTP requests of one pool."""

    http1_max_pending_requests: Int32 = 0
    http2_max_requests: Int32 = 0
    max_requests_per_connection: Int32 = 0
    max_retries: Int32 = 0
    idle_timeout: Duration | None = None
    h2_upgrade_policy: Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] = "DEFAULT"
    use_client_protocol: bool = False
    max_concurrent_streams: Int32 = 0
    http2_keep_alive: Http2KeepAlive | None = None


class ConnectionPoolSettings(Model, frozen=True, kw_only=True):
    """How many connections and requests may be open to one host."""

    tcp: TcpSettings | None = None
    http: HttpSettings | None = None


class LocalityDistribute(Model, frozen=True, kw_only=True):
    """Traffic from one locality spread over others by percent; the percents of `to` add up to 100."""

    from_: str = ""
    to: dict[str, UInt32] = {}


class LocalityFailover(Model, frozen=True, kw_only=True):
    """The region that takes over when the endpoints of `from` are unhealthy."""

    from_: str = ""
    to: str = ""


class LocalityLoadBalancerSetting(Model, frozen=True, kw_only=True):
    """Locality-weighted balancing: explicit shares, failover regions, or labels in order of priority."""

    distribute: tuple[LocalityDistribute, ...] = ()
    failover: tuple[LocalityFailover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    enabled: bool | None = None


class ZoneAwareLoadBalancerSetting(Model, frozen=True, kw_only=True):
    """Keep traffic in the caller's zone while the zone has enough endpoints."""

    enabled: bool | None = None
    failover: tuple[LocalityFailover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    min_cluster_size: Annotated[int, limit(minimum=1, maximum=4294967295)] | None = None


class HttpCookieAttribute(Model, frozen=True, kw_only=True):
    """One further attribute of the affinity cookie, such as SameSite."""

    name: str
    value: str = ""


class HttpCookie(Model, frozen=True, kw_only=True):
    """The cookie that keeps a client on one endpoint; created by the proxy when `ttl` is given."""

    name: str
    path: str = ""
    ttl: Duration | None = None
    attributes: tuple[HttpCookieAttribute, ...] = ()


class RingHash(Model, frozen=True, kw_only=True):
    """Ketama ring."""

    minimum_ring_size: UInt64 = 0


class Maglev(Model, frozen=True, kw_only=True):
    """Maglev table; the size should be a prime."""

    table_size: UInt64 = 0


class ConsistentHash(Model, frozen=True, kw_only=True):
    """What is hashed to choose an endpoint (exactly one), and with which algorithm."""

    http_header_name: str | None = None
    http_cookie: HttpCookie | None = None
    use_source_ip: bool | None = None
    http_query_parameter_name: str | None = None
    ring_hash: RingHash | None = None
    maglev: Maglev | None = None
    minimum_ring_size: UInt64 | None = None


class Warmup(Model, frozen=True, kw_only=True):
    """Slow start: a new endpoint's share grows over `duration`."""

    duration: Duration
    minimum_percent: Percent | None = None
    aggression: Annotated[float, limit(format="double", minimum=0)] | None = None


class LoadBalancerSettings(Model, frozen=True, kw_only=True):
    """How an endpoint is chosen: one simple algorithm or a consistent hash."""

    simple: Literal["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"] | None = None
    consistent_hash: ConsistentHash | None = None
    locality_lb_setting: LocalityLoadBalancerSetting | None = None
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None
    warmup_duration_secs: Duration | None = None
    warmup: Warmup | None = None


TlsVersion = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]


class ServerTlsCertificate(Model, frozen=True, kw_only=True):
    """One of several certificates of a server, by file."""

    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""


class ServerTlsSettings(Model, frozen=True, kw_only=True):
    """TLS on a listening port: mode, certificate (files or a secret's name), client verification, versions."""

    https_redirect: bool = False
    mode: Literal["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"] = (
        "PASSTHROUGH"
    )
    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_name: str = ""
    credential_names: Annotated[tuple[str, ...], limit(minItems=1, maxItems=2)] = ()
    ca_cert_credential_name: str = ""
    tls_certificates: Annotated[tuple[ServerTlsCertificate, ...], limit(minItems=1, maxItems=2)] = ()
    subject_alt_names: tuple[str, ...] = ()
    verify_certificate_spki: tuple[str, ...] = ()
    verify_certificate_hash: tuple[str, ...] = ()
    min_protocol_version: TlsVersion = "TLS_AUTO"
    max_protocol_version: TlsVersion = "TLS_AUTO"
    cipher_suites: tuple[str, ...] = ()
    insecure_skip_verify: bool | None = None


class ProviderName(Model, frozen=True, kw_only=True):
    """An extension provider of the mesh configuration, by name."""

    name: Text
