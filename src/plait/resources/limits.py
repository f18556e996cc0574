"""LimitPolicy: how much is let in: rate limits, limits on connections, circuit breaking, adaptive concurrency.

Istio says these by EnvoyFilters. The policy is attached by targetRefs only, as the Gateway API's policies are.
"""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

from typing import Annotated, Literal

from plait.resources.markers import Duration, Model, Percent, Port, Text, keyed, limit
from plait.resources.meta import IstioResource
from plait.resources.networking.traffic import StringMatch, TargetReference

Count = Annotated[int, limit(format="int64", minimum=1, maximum=4294967295)]
_Name = Annotated[str, limit(minLength=1, maxLength=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
# fmt: off
RefusalStatus = Literal[
    400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424, 426,
    428, 429, 431, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511,
]
"""Envoy answers with no others."""
# fmt: on


class RequestMatch(Model, frozen=True, kw_only=True):
    """Requests: every field that is given must hold; one of the methods is enough."""

    path: StringMatch | None = None
    methods: tuple[Text, ...] = ()
    headers: dict[str, StringMatch] = {}


class Distinction(Model, frozen=True, kw_only=True):
    """What requests are told apart by: each value has a count of its own (exactly one field)."""

    header: Text | None = None
    client_address: bool = False


class Refusal(Model, frozen=True, kw_only=True):
    """How a request over the limit is answered."""

    status: RefusalStatus = 429
    headers: dict[str, str] = {}


class RateLimit(Model, frozen=True, kw_only=True):
    """A count that each proxy instance keeps for each port. `burst`: how many may come at once (default `requests`)."""

    name: _Name
    match: tuple[RequestMatch, ...] = ()
    by: tuple[Distinction, ...] = ()
    requests: Count
    per: Duration = "1s"
    burst: Count | None = None
    refusal: Refusal | None = None


class RateLimitService(Model, frozen=True, kw_only=True):
    """A Service of the same namespace that speaks envoy.service.ratelimit.v3 over gRPC."""

    name: Text
    port: Port


class DescriptorEntry(Model, frozen=True, kw_only=True):
    """One entry of what the service is asked about: a fixed value, a header's, or the client's address."""

    key: Text
    value: Text | None = None
    header: Text | None = None
    client_address: bool = False


class SharedLimit(Model, frozen=True, kw_only=True):
    """What the service is asked about: with `match`, the first entry with a value is there only for what matches."""

    match: tuple[RequestMatch, ...] = ()
    descriptor: Annotated[tuple[DescriptorEntry, ...], limit(minItems=1, maxItems=16)]


class SharedRateLimit(Model, frozen=True, kw_only=True):
    """Counts that all proxies share, kept by a service of the user's."""

    service: RateLimitService
    domain: Text
    timeout: Duration = "100ms"
    failure_mode: Literal["Deny", "Allow"] = "Deny"
    limits: Annotated[tuple[SharedLimit, ...], limit(minItems=1, maxItems=32)]
    refusal: Refusal | None = None


class CircuitBreaker(Model, frozen=True, kw_only=True):
    """What may be open to the service's endpoints at a time; more is refused at once with 503."""

    max_connections: Count | None = None
    max_pending_requests: Count | None = None
    max_requests: Count | None = None
    max_retries: Count | None = None


class AdaptiveConcurrency(Model, frozen=True, kw_only=True):
    """Requests in flight, limited by what latency says the service bears (Envoy's gradient controller)."""

    percentile: Percent = 50.0
    update_interval: Duration = "100ms"
    max_concurrency: Count = 1000
    min_concurrency: Count = 3
    baseline_interval: Duration = "60s"
    baseline_requests: Count = 50
    jitter: Percent = 15.0
    buffer: Percent = 25.0
    status: RefusalStatus = 503


class ConnectionRate(Model, frozen=True, kw_only=True):
    """New connections; more are closed as they come."""

    connections: Count
    per: Duration = "1s"


class ConnectionLimit(Model, frozen=True, kw_only=True):
    """Connections of any protocol, as each proxy instance counts them for each port."""

    max: Count | None = None
    rate: ConnectionRate | None = None


class LimitPolicySpec(Model, frozen=True, kw_only=True):
    """What is limited, for whom requests are to the targets."""

    target_refs: Annotated[tuple[TargetReference, ...], limit(minItems=1, maxItems=16)]
    rate_limits: Annotated[tuple[RateLimit, ...], limit(maxItems=32), keyed("name")] = ()
    shared_rate_limit: SharedRateLimit | None = None
    circuit_breaker: CircuitBreaker | None = None
    adaptive_concurrency: AdaptiveConcurrency | None = None
    connections: ConnectionLimit | None = None


class LimitPolicy(IstioResource, frozen=True, kw_only=True):
    """Limits on what reaches the targets."""

    spec: LimitPolicySpec
