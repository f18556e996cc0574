"""DestinationRule: what happens to traffic after routing — balancing, pools, outlier detection, TLS, subsets."""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

from typing import Annotated, Literal

from plait.resources.markers import Duration, Int32, Model, Percent, Status, UInt32, doc, limit
from plait.resources.meta import IstioResource
from plait.resources.networking.traffic import (
    ConnectionPoolSettings,
    LabelMatch,
    LoadBalancerSettings,
    PortSelector,
)


class OutlierDetection(Model, frozen=True, kw_only=True):
    """When an endpoint that keeps failing is left out, and for how long."""

    consecutive_errors: Int32 | None = None
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: UInt32 | None = None
    consecutive_gateway_errors: UInt32 | None = None
    consecutive_5xx_errors: UInt32 | None = None
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: Int32 | None = None
    min_health_percent: Int32 | None = None
    outlier_detection_http_error_codes: tuple[Status, ...] = ()


class ClientTlsSettings(Model, frozen=True, kw_only=True):
    """TLS toward the upstream."""

    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] = "DISABLE"
    client_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_name: str = ""
    subject_alt_names: tuple[str, ...] = ()
    sni: str = ""
    insecure_skip_verify: bool | None = None


class ProxyProtocol(Model, frozen=True, kw_only=True):
    """PROXY protocol header toward the upstream."""

    version: Literal["V1", "V2"] = "V1"


class RetryBudget(Model, frozen=True, kw_only=True):
    """Concurrent retries allowed, as a share of active requests."""

    percent: Percent | None = None
    min_retry_concurrency: UInt32 | None = None
    budget_interval: Duration | None = None


class TunnelSettings(Model, frozen=True, kw_only=True):
    """Carry the connection through an HTTP tunnel to `targetHost:targetPort`."""

    protocol: str = ""
    target_host: str
    target_port: UInt32


class PortTrafficPolicy(Model, frozen=True, kw_only=True):
    """The policy of one port; it replaces, not extends, the destination's policy."""

    port: PortSelector | None = None
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTlsSettings | None = None


class TrafficPolicy(Model, frozen=True, kw_only=True):
    """Balancing, pool sizes, outlier detection and TLS of a destination."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTlsSettings | None = None
    port_level_settings: Annotated[tuple[PortTrafficPolicy, ...], limit(maxItems=4096)] = ()
    tunnel: TunnelSettings | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None


class Subset(Model, frozen=True, kw_only=True):
    """A named part of the destination's endpoints, chosen by labels."""

    name: str
    labels: dict[str, str] = {}
    traffic_policy: TrafficPolicy | None = None


class DestinationRuleSpec(Model, frozen=True, kw_only=True):
    """Policy for traffic to `host`."""

    host: Annotated[str, doc("The service of the registry; short names get the object's namespace.")]
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: Annotated[tuple[str, ...], doc("Namespaces that see the rule: `.` this one, `*` all.")] = ()
    workload_selector: LabelMatch | None = None


class DestinationRule(IstioResource, frozen=True, kw_only=True):
    """Policy for traffic to a destination, after routing."""

    spec: DestinationRuleSpec  # required here though the CRD says nothing: without it there is no host
