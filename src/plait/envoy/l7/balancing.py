"""Load balancing, locality, warm-up, circuit breakers and outlier detection of an upstream's cluster."""

from __future__ import annotations

from plait.envoy.l7 import pinning
from plait.envoy.l7.context import Context, seconds
from plait.envoy.pieces import Doc
from plait.model.traffic import Hash, LoadBalancing, Outliers, Pool, RetryBudget, Warmup
from plait.model.views.upstreams import Upstream

_MOST = 4294967295
_SIMPLE = {"": "LEAST_REQUEST", "round_robin": "ROUND_ROBIN", "least_request": "LEAST_REQUEST", "random": "RANDOM"}
_SLOW = {"ROUND_ROBIN": "round_robin_lb_config", "LEAST_REQUEST": "least_request_lb_config"}
_GATEWAY = {502, 503, 504}


def balancing(ctx: Context, upstream: Upstream) -> Doc:
    wanted = upstream.policy.balancing or LoadBalancing()
    document: Doc = {"common_lb_config": {"healthy_panic_threshold": {"value": 0}}}
    if wanted.hash is not None:
        document |= _hash(ctx, wanted.hash, upstream)
    else:
        document["lb_policy"] = _SIMPLE.get(wanted.simple, "LEAST_REQUEST")
    if wanted.warmup is not None:
        field = _SLOW.get(document["lb_policy"])
        if field is None:
            ctx.refuse(
                upstream.source, "trafficPolicy.loadBalancer.warmup", "only ROUND_ROBIN and LEAST_REQUEST warm up"
            )
        else:
            document[field] = {"slow_start_config": _warmup(wanted.warmup)}
    common = document["common_lb_config"]
    locality = wanted.locality or ctx.settings.locality
    if upstream.locality_weights:
        common["locality_weighted_lb_config"] = {}
    elif locality is not None and locality.zone_aware and locality.enabled is not False:
        common["zone_aware_lb_config"] = (
            {} if locality.least_cluster_size is None else {"min_cluster_size": locality.least_cluster_size}
        )
    outliers = upstream.policy.outliers
    if upstream.pinned:
        subsets = pinning.cluster()
        common |= subsets.pop("common_lb_config")
        document |= subsets
    elif outliers is not None and outliers.least_healthy_percent is not None:
        common["healthy_panic_threshold"] = {"value": outliers.least_healthy_percent}
    return document


def _hash(ctx: Context, wanted: Hash, upstream: Upstream) -> Doc:
    if wanted.algorithm == "maglev":
        document: Doc = {"lb_policy": "MAGLEV"}
        if wanted.size:
            if _prime(wanted.size) and wanted.size <= 5_000_011:
                document["maglev_lb_config"] = {"table_size": wanted.size}
            else:
                path = "trafficPolicy.loadBalancer.consistentHash.maglev.tableSize"
                ctx.refuse(upstream.source, path, f"{wanted.size} is no prime up to 5000011; Envoy's 65537 is used")
        return document
    document = {"lb_policy": "RING_HASH"}
    if wanted.size:
        document["ring_hash_lb_config"] = {"minimum_ring_size": min(wanted.size, 8_388_608)}
    return document


def _prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def _warmup(wanted: Warmup) -> Doc:
    document: Doc = {"slow_start_window": seconds(wanted.seconds)}
    if wanted.aggression is not None:
        document["aggression"] = {"default_value": wanted.aggression, "runtime_key": "plait.warmup_aggression"}
    if wanted.least_percent is not None:
        document["min_weight_percent"] = {"value": wanted.least_percent}
    return document


def breakers(pool: Pool, budget: RetryBudget | None, ctx: Context, source: str) -> Doc:
    """What is not said is unlimited: Envoy's own default of 1024 surprises everybody once."""
    limits: Doc = {
        "max_connections": pool.max_connections or _MOST,
        "max_pending_requests": pool.max_pending_requests or _MOST,
        "max_requests": pool.max_requests or _MOST,
        "max_retries": pool.max_retries or _MOST,
        "track_remaining": True,
    }
    if budget is not None:
        share: Doc = {}
        if budget.percent is not None:
            share["budget_percent"] = {"value": budget.percent}
        if budget.least_concurrency is not None:
            share["min_retry_concurrency"] = budget.least_concurrency
        if budget.interval is not None:
            share["budget_interval"] = seconds(budget.interval)
        limits["retry_budget"] = share
    return {"thresholds": [limits]}


def outliers(wanted: Outliers) -> Doc:
    """An error count of 0 switches that kind of ejection off."""
    document: Doc = {"enforcing_success_rate": 0, "enforcing_local_origin_success_rate": 0}
    if wanted.server_errors is not None:
        document["enforcing_consecutive_5xx"] = 100 if wanted.server_errors else 0
        if wanted.server_errors:
            document["consecutive_5xx"] = wanted.server_errors
    if wanted.gateway_errors is not None:
        document["enforcing_consecutive_gateway_failure"] = 100 if wanted.gateway_errors else 0
        if wanted.gateway_errors:
            document["consecutive_gateway_failure"] = wanted.gateway_errors
    if wanted.split_local_origin:
        document["split_external_local_origin_errors"] = True
        if wanted.local_origin_failures is not None:
            document["enforcing_consecutive_local_origin_failure"] = 100 if wanted.local_origin_failures else 0
            if wanted.local_origin_failures:
                document["consecutive_local_origin_failure"] = wanted.local_origin_failures
    if wanted.interval is not None:
        document["interval"] = seconds(wanted.interval)
    if wanted.ejection is not None:
        document["base_ejection_time"] = seconds(wanted.ejection)
        document["max_ejection_time"] = seconds(max(wanted.ejection, 300.0))
    if wanted.max_percent:  # 0 is how the API says nothing
        document["max_ejection_percent"] = wanted.max_percent
    return document
