"""L7: the part of the world that only HTTP proxies need. `Mesh.l7` holds it beside the L4 part, which it never changes.

Everything is by key and kept whole per object; merging happens in views, so one object never removes another. Never
mutate the mappings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from plait.base.revision import Revision
from plait.model.gateways import Gateway
from plait.model.http_security import Authorizer, HttpPolicy, RequestAuthentication
from plait.model.http_services import HttpService, Instance
from plait.model.http_telemetry import Sink, SpanTag, TelemetryPolicy
from plait.model.limits import LimitPolicy
from plait.model.patches import PatchSet, Plugin
from plait.model.routes import Retry, Routing
from plait.model.sidecars import SidecarScope
from plait.model.status import Status
from plait.model.traffic import BackendRule, Keepalive, LocalityPolicy, Outliers, Pool, Traffic

_NOTHING: Mapping[str, Any] = Revision()
MtlsMode = Literal["disable", "permissive", "strict"]


class PeerMode(Struct, frozen=True, gc=False):
    """What a workload demands of its clients, and exceptions by its own ports."""

    mode: MtlsMode = "permissive"
    ports: tuple[tuple[int, MtlsMode], ...] = ()

    def at(self, port: int) -> MtlsMode:
        return next((mode for number, mode in self.ports if number == port), self.mode)


class ProxyHeaders(Struct, frozen=True, gc=False):
    """Headers that proxies write by themselves."""

    request_id: bool = True
    attempt_count: bool = True
    debug: bool = True
    """`x-envoy-…` of requests and responses."""
    server: str | None = "istio-envoy"
    """None: the application's own."""
    forwarded_port: bool = False


class L7Settings(Struct, frozen=True):
    """What the mesh configuration says about HTTP proxies. None: the proxy's own default."""

    unknown_outbound: Literal["allow_any", "registry_only"] = "allow_any"
    inbound_localhost: bool = False
    auto_mtls: bool = True
    sniffing_timeout: float = 0.0
    connect_timeout: float = 10.0
    path_normalization: Literal["none", "base", "merge_slashes", "decode_and_merge_slashes"] = "base"
    upgrade_to_http2: bool = False
    dns_refresh: float = 60.0
    retry: Retry | None = None
    pool: Pool | None = None
    outliers: Outliers | None = None
    locality: LocalityPolicy | None = LocalityPolicy(enabled=True)
    trust_domain_aliases: tuple[str, ...] = ()
    tracing: bool = True
    tracing_sinks: tuple[str, ...] = ()
    logging_sinks: tuple[str, ...] = ()
    metrics_sinks: tuple[str, ...] = ("prometheus",)
    access_log_file: str = ""
    access_log_format: str = ""
    access_log_json: bool = False
    sampling: float = 1.0
    trusted_hops: int = 0
    client_certificate_details: str = ""
    tls_least: Literal["", "1.2", "1.3"] = ""
    tls_ciphers: tuple[str, ...] = ()
    tls_curves: tuple[str, ...] = ()
    other_ciphers: tuple[str, ...] = ()
    """Of TLS with other certificates than the mesh's, where nothing narrower is said; so the curves."""
    other_curves: tuple[str, ...] = ()
    keepalive: Keepalive | None = None
    """Of connections to services, where their rules say none."""
    span_tags: tuple[SpanTag, ...] = ()
    istio_tags: bool = True
    path_tag_length: int = 0
    headers: ProxyHeaders = ProxyHeaders()
    proxy_protocol: bool = False
    """Do gateways take a PROXY header before each connection?"""


class L7(Struct, frozen=True, dict=True):
    """The world of HTTP proxies at one moment."""

    settings: L7Settings = L7Settings()
    services: Mapping[str, HttpService] = _NOTHING
    """By "ns/hostname"."""
    instances: Mapping[str, Instance] = _NOTHING
    """By workload uid."""
    peer_modes: Mapping[str, PeerMode] = _NOTHING
    """By workload uid; absent: permissive."""
    routings: Mapping[str, Routing] = _NOTHING
    """By "Kind/ns/name"."""
    traffic: Mapping[str, Traffic] = _NOTHING
    """By "ns/name" of the (oldest) DestinationRule."""
    backend_tls: Mapping[str, BackendRule] = _NOTHING
    """By "<service key>:<port>", port 0 for all; only gateways ask."""
    gateways: Mapping[str, Gateway] = _NOTHING
    """By Gateway.key."""
    sidecars: Mapping[str, SidecarScope] = _NOTHING
    authorization: Mapping[str, HttpPolicy] = _NOTHING
    authentication: Mapping[str, RequestAuthentication] = _NOTHING
    authorizers: Mapping[str, Authorizer] = _NOTHING
    """By provider name."""
    telemetry: Mapping[str, TelemetryPolicy] = _NOTHING
    sinks: Mapping[str, Sink] = _NOTHING
    patches: Mapping[str, PatchSet] = _NOTHING
    plugins: Mapping[str, Plugin] = _NOTHING
    """By "Kind/ns/name"."""
    limits: Mapping[str, LimitPolicy] = _NOTHING
    secrets: frozenset[str] = frozenset()
    """Names ("ns/name") of all Secrets."""
    statuses: Mapping[str, Status] = _NOTHING
    """By "plural.group/ns/name" of the object (`kinds.Kind` as text)."""
