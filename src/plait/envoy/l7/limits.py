"""LimitPolicies as Envoy's filters and thresholds, the same way in every role.

A bucket lives where its configuration does. All doors to a port of a sidecar (Istio's TLS, plain, tunnels) are filter
chains of their own but share one route configuration, so the buckets stand in that: `per_route` belongs into it, beside
the empty filters of `filters`. Whoever changes a route of the port fills its buckets anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from plait.envoy import names
from plait.envoy.l7.context import Context, seconds
from plait.envoy.l7.headers import formatted
from plait.envoy.l7.matchers import header, string
from plait.envoy.pieces import Doc, any_of, extension
from plait.model.limits import (
    Adaptive,
    Counted,
    Entry,
    LimitPolicy,
    Rate,
    RateLimit,
    Refusal,
    SharedRateLimit,
)
from plait.model.routes import TextMatch

_HTTP = "envoy.extensions.filters.http"
_NETWORK = "envoy.extensions.filters.network"
_LOCAL = f"{_HTTP}.local_ratelimit.v3.LocalRateLimit"
_ALWAYS: Doc = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
_UNCOUNTED: Doc = {"max_tokens": 4294967295, "tokens_per_fill": 4294967295, "fill_interval": "1s"}
"""What requests take from that no descriptor is about."""
_MOST_VALUES = 10000
"""Of a header or address, each with a bucket; the least recently seen is forgotten."""
_COUNTED = "counted"
AT_ONCE = ("envoy.filters.network.local_ratelimit", "envoy.filters.network.connection_limit")
"""Network filters that decide as a connection comes, before anything is sent on."""


def http(ctx: Context, limits: Iterable[LimitPolicy]) -> list[Doc]:
    """Own counts before those that somebody must be asked for; who is refused by either holds no place in flight."""
    found: list[Doc] = []
    policies = tuple(limits)
    adaptive = next((each.adaptive for each in policies if each.adaptive is not None), None)
    for policy in policies:
        found += [
            extension(_name(policy, limit), _LOCAL, stat_prefix=f"limit.{policy.namespace}.{policy.name}.{limit.name}")
            for limit in policy.rates
        ]
    found += [_shared(ctx, policy, policy.shared) for policy in policies if policy.shared is not None]
    if adaptive is not None:
        found.append(_adaptive(adaptive))
    return found


def per_route(limits: Iterable[LimitPolicy]) -> Doc:
    """For the RouteConfiguration of a port: `typed_per_filter_config`, or nothing."""
    filled = {_name(policy, limit): _bucket(policy, limit) for policy in limits for limit in policy.rates}
    return {"typed_per_filter_config": filled} if filled else {}


def connections(limits: Iterable[LimitPolicy], where: str) -> list[Doc]:
    """Network filters before everything else; `where` names what is counted together."""
    found = next((each.connections for each in limits if each.connections is not None), None)
    if found is None:
        return []
    made: list[Doc] = []
    if found.rate is not None:
        made.append(
            extension(
                "envoy.filters.network.local_ratelimit",
                f"{_NETWORK}.local_ratelimit.v3.LocalRateLimit",
                stat_prefix="limit_connections",
                token_bucket=_tokens(found.rate),
                share_key=where,
            )
        )
    if found.most:
        made.append(
            extension(
                "envoy.filters.network.connection_limit",
                f"{_NETWORK}.connection_limit.v3.ConnectionLimit",
                stat_prefix="limit_connections",
                max_connections=found.most,
            )
        )
    return made


# Own counts ---


def _name(policy: LimitPolicy, limit: RateLimit) -> str:
    return f"envoy.filters.http.local_ratelimit.{policy.namespace}.{policy.name}.{limit.name}"


def _bucket(policy: LimitPolicy, limit: RateLimit) -> Doc:
    """Without a match and a distinction all requests take from one bucket; else each descriptor has its own."""
    config = any_of(
        _LOCAL,
        stat_prefix=f"limit.{policy.namespace}.{policy.name}.{limit.name}",
        token_bucket=_tokens(limit.rate),
        filter_enabled=_ALWAYS,
        filter_enforced=_ALWAYS,
        status={"code": limit.refusal.status},
        response_headers_to_add=[
            *_headers(limit.refusal),
            {"header": {"key": "x-local-rate-limit", "value": "true"}},
        ],
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
    )
    if not limit.matches and not limit.by:
        return config
    fixed = [{"key": _COUNTED, "value": limit.name}]
    told = [{"key": entry.header or "remote_address"} for entry in limit.by]
    return {
        **config,
        "token_bucket": _UNCOUNTED,
        "always_consume_default_token_bucket": False,
        "max_dynamic_descriptors": _MOST_VALUES,
        "rate_limits": [
            {"actions": [_counted(match, limit.name), *map(_action, limit.by)]} for match in limit.matches or (None,)
        ],
        "descriptors": [{"entries": [*fixed, *told], "token_bucket": _tokens(limit.rate)}],
    }


def _tokens(rate: Rate) -> Doc:
    return {
        "max_tokens": rate.burst,
        "tokens_per_fill": rate.requests,
        "fill_interval": seconds(rate.seconds),
    }


def _headers(refusal: Refusal) -> list[Doc]:
    return [
        {"header": {"key": name, "value": formatted(value)}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for name, value in refusal.headers
    ]


def _counted(match: Counted | None, value: str, key: str = _COUNTED) -> Doc:
    """An entry that is made only for requests that match."""
    if match is None:
        return {"generic_key": {"descriptor_key": key, "descriptor_value": value}}
    tests = [header(test) for test in match.headers]
    if match.methods:
        wanted = "|".join(re.escape(method) for method in match.methods)
        tests.append({"name": ":method", "string_match": {"safe_regex": {"regex": wanted}}})
    if match.path is not None:
        tests.append({"name": ":path", "string_match": _path(match.path)})
    action = {
        "descriptor_key": key,
        "descriptor_value": value,
        "headers": [test for test in tests if test is not None],
    }
    return {"header_value_match": action}


def _path(test: TextMatch) -> Doc:
    """The header holds the query too, which a whole path is written without."""
    if test.how == "exact":
        return {"safe_regex": {"regex": rf"{re.escape(test.value)}(\?.*)?"}}
    if test.how == "regex":
        return {"safe_regex": {"regex": rf"(?:{test.value})(\?.*)?"}}
    return string(test) or {"prefix": "/"}


def _action(entry: Entry) -> Doc:
    if entry.value:
        return {"generic_key": {"descriptor_key": entry.key, "descriptor_value": entry.value}}
    if entry.header:
        return {"request_headers": {"header_name": entry.header, "descriptor_key": entry.key}}
    return {"remote_address": {}}


# Counts of a service ---


def _shared(ctx: Context, policy: LimitPolicy, shared: SharedRateLimit) -> Doc:
    source = f"LimitPolicy/{policy.key}"
    cluster = ctx.cluster(shared.hostname, shared.port)
    if shared.broken or (shared.hostname, shared.port, "") not in ctx.upstreams:
        why = shared.broken or f"the service {shared.hostname}:{shared.port} is not visible here"
        effect = "requests are not counted" if shared.fail_open else "requests are refused"
        ctx.refuse(source, "spec.sharedRateLimit.service", f"{why}; {effect}")
        cluster = names.BLACKHOLE
    return extension(
        f"envoy.filters.http.ratelimit.{policy.namespace}.{policy.name}",
        f"{_HTTP}.ratelimit.v3.RateLimit",
        domain=shared.domain,
        stat_prefix=f"limit.{policy.namespace}.{policy.name}",
        timeout=seconds(shared.timeout),
        failure_mode_deny=not shared.fail_open,
        rate_limited_status={"code": shared.refusal.status},
        response_headers_to_add=_headers(shared.refusal),
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
        rate_limit_service={
            "grpc_service": {"envoy_grpc": {"cluster_name": cluster, "authority": shared.hostname}},
            "transport_api_version": "V3",
        },
        rate_limits=[
            {"actions": _descriptor(limit.descriptor, match)}
            for limit in shared.limits
            for match in limit.matches or (None,)
        ],
    )


def _descriptor(entries: Iterable[Entry], match: Counted | None) -> list[Doc]:
    """The first fixed entry is made only for requests that match; without one of its entries nobody is asked."""
    found: list[Doc] = []
    for entry in entries:
        if match is not None and entry.value:
            found.append(_counted(match, entry.value, entry.key))
            match = None
        else:
            found.append(_action(entry))
    return found


# Load ---


def _adaptive(found: Adaptive) -> Doc:
    return extension(
        "envoy.filters.http.adaptive_concurrency",
        f"{_HTTP}.adaptive_concurrency.v3.AdaptiveConcurrency",
        enabled={"default_value": True, "runtime_key": "plait.adaptive_concurrency"},
        concurrency_limit_exceeded_status={"code": found.status},
        gradient_controller_config={
            "sample_aggregate_percentile": {"value": found.percentile},
            "concurrency_limit_params": {
                "max_concurrency_limit": found.most,
                "concurrency_update_interval": seconds(found.update),
            },
            "min_rtt_calc_params": {
                "interval": seconds(found.baseline),
                "request_count": found.baseline_requests,
                "jitter": {"value": found.jitter},
                "min_concurrency": found.least,
                "buffer": {"value": found.buffer},
            },
        },
    )
