"""TrafficPolicy: what happens to traffic after routing: balancing, pools, outliers, TLS, tunnels; and subsets.

None everywhere means "not said": the translator's default of the mesh. Durations are seconds.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from plait.model.attachment import Labels

Simple = Literal["", "round_robin", "least_request", "random", "passthrough"]


class Cookie(Struct, frozen=True, gc=False):
    """`ttl` None: the cookie is only read; else the proxy makes it (0: a session cookie)."""

    name: str
    path: str = ""
    ttl: float | None = None
    attributes: tuple[tuple[str, str], ...] = ()


class Hash(Struct, frozen=True, gc=False):
    """What is hashed (one of), and by which algorithm."""

    header: str = ""
    cookie: Cookie | None = None
    source_ip: bool = False
    query: str = ""
    algorithm: Literal["ring", "maglev"] = "ring"
    size: int = 0
    """Least ring size or Maglev table size; 0 is Envoy's default."""


class Distribute(Struct, frozen=True, gc=False):
    """Traffic from `origin` (region/zone/subzone, `*` allowed) by percent over localities."""

    origin: str
    shares: tuple[tuple[str, int], ...]


class LocalityPolicy(Struct, frozen=True, gc=False):
    enabled: bool | None = None
    distribute: tuple[Distribute, ...] = ()
    failover: tuple[tuple[str, str], ...] = ()
    """(region, region that takes over)."""
    priority: tuple[str, ...] = ()
    """Labels (`key` or `key=value`) in order: an endpoint is the nearer the more of the first ones it shares."""
    zone_aware: bool = False
    least_cluster_size: int | None = None


class Warmup(Struct, frozen=True, gc=False):
    seconds: float
    least_percent: float | None = None
    aggression: float | None = None


class LoadBalancing(Struct, frozen=True, gc=False):
    simple: Simple = ""
    hash: Hash | None = None
    locality: LocalityPolicy | None = None
    warmup: Warmup | None = None


class Keepalive(Struct, frozen=True, gc=False):
    probes: int = 0
    time: float | None = None
    interval: float | None = None


class Pool(Struct, frozen=True, gc=False):
    """Limits of connections and requests; 0 or None is "not said"."""

    max_connections: int = 0
    connect_timeout: float | None = None
    keepalive: Keepalive | None = None
    max_connection_duration: float | None = None
    tcp_idle_timeout: float | None = None
    max_pending_requests: int = 0
    max_requests: int = 0
    max_requests_per_connection: int = 0
    max_retries: int = 0
    http_idle_timeout: float | None = None
    upgrade: Literal["", "never", "always"] = ""
    """Whether plain HTTP/1.1 is upgraded to HTTP/2 toward the upstream."""
    client_protocol: bool = False
    max_streams: int = 0
    ping_interval: float | None = None
    ping_timeout: float | None = None


class Outliers(Struct, frozen=True, gc=False):
    split_local_origin: bool = False
    local_origin_failures: int | None = None
    gateway_errors: int | None = None
    server_errors: int | None = None
    """Consecutive 5xx."""
    interval: float | None = None
    ejection: float | None = None
    max_percent: int | None = None
    least_healthy_percent: int | None = None
    codes: tuple[int, ...] = ()
    """HTTP codes that count as errors instead of 5xx."""


class ClientTls(Struct, frozen=True, gc=False):
    """`istio_mutual` uses the workload's own certificate. Files, or `credential` by name (of a Secret
    beside the proxy; in a view always "ns/name")."""

    mode: Literal["disable", "simple", "mutual", "istio_mutual"]
    sni: str = ""
    subject_alt_names: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""
    roots: str = ""
    crl: str = ""
    credential: str = ""
    inline_roots: str = ""
    """PEM from ConfigMaps (BackendTLSPolicy)."""
    system_roots: bool = False
    insecure: bool = False
    client_credential: str = ""
    """Secret with the certificate shown to the backend beside a simple verification of it."""


class BackendRule(Struct, frozen=True, gc=False):
    """TLS from gateways to a backend (BackendTLSPolicy). `broken`: it cannot be met, so connections are refused."""

    source: str
    tls: ClientTls
    broken: str = ""


class TunnelPolicy(Struct, frozen=True, gc=False):
    """Carry connections through an HTTP tunnel to host:port."""

    method: Literal["CONNECT", "POST"]
    host: str
    port: int


class RetryBudget(Struct, frozen=True, gc=False):
    percent: float | None = None
    least_concurrency: int | None = None
    interval: float | None = None


class TrafficPolicy(Struct, frozen=True, gc=False):
    balancing: LoadBalancing | None = None
    pool: Pool | None = None
    outliers: Outliers | None = None
    tls: ClientTls | None = None
    tunnel: TunnelPolicy | None = None
    proxy_protocol: Literal["", "v1", "v2"] = ""
    retry_budget: RetryBudget | None = None
    ports: tuple[tuple[int, TrafficPolicy], ...] = ()
    """Per port; what is not said there falls back to defaults, not to this policy (balancing, pool, outliers, tls)."""


NO_POLICY = TrafficPolicy()


class Subset(Struct, frozen=True, gc=False):
    name: str
    labels: Labels = ()
    policy: TrafficPolicy = NO_POLICY


class Traffic(Struct, frozen=True):
    """What one DestinationRule says (or several of a namespace, merged) about a host, which may be a wildcard."""

    namespace: str
    name: str
    host: str
    policy: TrafficPolicy = NO_POLICY
    subsets: tuple[Subset, ...] = ()
    visible: tuple[str, ...] = ("*",)
    selector: Labels = ()
    """Only for clients with these labels, in the rule's namespace."""
    created: str = ""

    def subset(self, name: str) -> Subset | None:
        return next((each for each in self.subsets if each.name == name), None)

    def effective(self, port: int, subset: str = "") -> TrafficPolicy:
        """The policy of a port and subset: the subset's word over the rule's, a port's own settings over both."""
        policy = _at_port(self.policy, self.policy, port)
        found = self.subset(subset) if subset else None
        return policy if found is None else _at_port(_over(policy, found.policy), found.policy, port)


def _over(base: TrafficPolicy, own: TrafficPolicy) -> TrafficPolicy:
    return TrafficPolicy(
        own.balancing or base.balancing,
        own.pool or base.pool,
        own.outliers or base.outliers,
        own.tls or base.tls,
        own.tunnel or base.tunnel,
        own.proxy_protocol or base.proxy_protocol,
        own.retry_budget or base.retry_budget,
    )


def _at_port(merged: TrafficPolicy, written: TrafficPolicy, port: int) -> TrafficPolicy:
    special = next((policy for number, policy in written.ports if number == port), None)
    if special is None:
        return _over(merged, NO_POLICY)
    return TrafficPolicy(
        special.balancing,
        special.pool,
        special.outliers,
        special.tls,
        merged.tunnel,
        merged.proxy_protocol,
        merged.retry_budget,
    )
