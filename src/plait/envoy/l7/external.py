"""External authorization: what CUSTOM policies and single routes ask over HTTP or gRPC; a broken one denies."""

from __future__ import annotations

from collections.abc import Iterable

from plait.envoy import names
from plait.envoy.l7 import authorization
from plait.envoy.l7.authorization import Where
from plait.envoy.l7.context import Context, seconds
from plait.envoy.l7.routes import ext_authz_name
from plait.envoy.pieces import Doc, any_of
from plait.model.http_security import Authorizer, HttpPolicy

_HTTP = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
_TCP = "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz"
_NOTED = "istio_ext_authz_"
"""Under what the RBAC filter notes the rule that matched: Istio's word, which logs and dashboards read."""
_DENIED = "-deny-due-to-bad-CUSTOM-action"


def custom(
    ctx: Context, policies: Iterable[HttpPolicy], authorizers: Iterable[Authorizer], where: Where, *, http: bool = True
) -> list[Doc]:
    """For each provider: RBAC that only notes whether a rule matches, and the filter that asks when one did."""
    known = {each.name: each for each in authorizers}
    by_provider: dict[str, list[HttpPolicy]] = {}
    for policy in policies:
        if policy.action == "custom":
            by_provider.setdefault(policy.provider, []).append(policy)
    found: list[Doc] = []
    for provider, of in by_provider.items():
        live = [policy for policy in of if not policy.dry_run]
        trial = authorization.rules([policy for policy in of if policy.dry_run], "DENY", where, http=http)
        name = f"envoy.filters.{'http' if http else 'network'}.rbac"
        make = authorization.http_filter if http else authorization.network_filter
        if trial["policies"]:
            found.append(make(name, None, trial, f"istio_dry_run_custom_{provider}_"))
        if not live:
            continue
        before = f"istio-ext-authz-{provider}-" if provider else "istio-ext-authz-"
        asked = known.get(provider)
        why = _unusable(ctx, asked, http)
        if asked is None or why:
            text = f"{why or 'no such provider'}; what it would be asked for is denied"
            for policy in live:
                ctx.refuse(f"AuthorizationPolicy/{policy.key}", "spec.provider", text)
            denied = authorization.rules(live, "DENY", where, http=http, before=before, after=_DENIED)
            found.append(make(name, denied, None, ""))
            continue
        matched = authorization.rules(live, "DENY", where, http=http, before=before)
        found.append(make(name, None, matched, _NOTED))
        found.append(_asking(ctx, asked, f"{before}ns[", http))
    return found


def for_routes(ctx: Context, authorizers: Iterable[Authorizer], wanted: frozenset[str]) -> list[Doc]:
    """Filters that are off but for the routes that name their provider. One that cannot be asked always denies."""
    known = {each.name: each for each in authorizers}
    found: list[Doc] = []
    for provider in sorted(wanted):
        asked = known.get(provider)
        why = _unusable(ctx, asked, True)
        if asked is None or why:
            ctx.refuse("", f"extensionProviders.{provider}", f"{why}; its routes are denied")
            config = _nobody(provider)
        else:
            config = _config(ctx, asked)
        found.append({"name": ext_authz_name(provider), "typed_config": config, "disabled": True})
    return found


def _nobody(provider: str) -> Doc:
    """Asking nobody fails, and failing denies."""
    uri = {"uri": "http://none.invalid", "cluster": names.BLACKHOLE, "timeout": "1s"}
    return any_of(
        _HTTP,
        transport_api_version="V3",
        stat_prefix=provider,
        failure_mode_allow=False,
        status_on_error={"code": 403},
        http_service={"server_uri": uri},
    )


def _unusable(ctx: Context, asked: Authorizer | None, http: bool) -> str:
    if asked is None:
        return "no such provider"
    if asked.broken:
        return asked.broken
    if (asked.hostname, asked.port, "") not in ctx.upstreams:
        return f"the service {asked.hostname}:{asked.port} of provider {asked.name} is not visible"
    return "connections can only be authorized over gRPC" if not http and asked.protocol != "grpc" else ""


def _asking(ctx: Context, asked: Authorizer, noted: str, http: bool) -> Doc:
    """`noted`: how the names of this provider's rules begin; those of another one stand at the same place."""
    condition: Doc = {
        "filter": "envoy.filters.http.rbac" if http else "envoy.filters.network.rbac",
        "path": [{"key": f"{_NOTED}shadow_effective_policy_id"}],
        "value": {"string_match": {"prefix": noted}},
    }
    if http:
        config = _config(ctx, asked)
    else:
        config = any_of(_TCP, stat_prefix="tcp.", transport_api_version="V3", grpc_service=_grpc(ctx, asked))
        config["failure_mode_allow"] = asked.fail_open
    config["filter_enabled_metadata"] = condition
    return {"name": f"envoy.filters.{'http' if http else 'network'}.ext_authz", "typed_config": config}


def _config(ctx: Context, asked: Authorizer) -> Doc:
    config: Doc = any_of(
        _HTTP,
        transport_api_version="V3",
        stat_prefix=asked.name,
        failure_mode_allow=asked.fail_open,
        status_on_error={"code": asked.status_on_error},
    )
    if asked.clear_route_cache:
        config["clear_route_cache"] = True
    if asked.body is not None:
        config["with_request_body"] = {
            "max_request_bytes": asked.body.limit,
            "allow_partial_message": asked.body.partial,
            "pack_as_bytes": asked.body.as_bytes,
        }
    if asked.protocol == "grpc":
        return {**config, "grpc_service": _grpc(ctx, asked)}
    if asked.headers:
        config["allowed_headers"] = _patterns(asked.headers)
    service: Doc = {
        "server_uri": {
            "uri": f"http://{asked.hostname}:{asked.port}",
            "cluster": ctx.cluster(asked.hostname, asked.port),
            "timeout": seconds(asked.timeout or 600.0),
        }
    }
    if asked.path_prefix:
        service["path_prefix"] = asked.path_prefix
    if asked.extra_headers:
        added = [{"key": name, "value": text} for name, text in asked.extra_headers]
        service["authorization_request"] = {"headers_to_add": added}
    answer: Doc = {}
    for field, listed in (
        ("allowed_upstream_headers", asked.upstream_headers),
        ("allowed_client_headers", asked.deny_headers),
        ("allowed_client_headers_on_success", asked.allow_headers),
    ):
        if listed:
            answer[field] = _patterns(listed)
    if answer:
        service["authorization_response"] = answer
    return {**config, "http_service": service}


def _grpc(ctx: Context, asked: Authorizer) -> Doc:
    return {
        "envoy_grpc": {"cluster_name": ctx.cluster(asked.hostname, asked.port), "authority": asked.hostname},
        "timeout": seconds(asked.timeout or 600.0),
    }


def _patterns(names: tuple[str, ...]) -> Doc:
    def one(name: str) -> Doc:
        if name == "*":
            return {"safe_regex": {"regex": ".*"}}
        if name.endswith("*"):
            return {"prefix": name[:-1], "ignore_case": True}
        if name.startswith("*"):
            return {"suffix": name[1:], "ignore_case": True}
        return {"exact": name, "ignore_case": True}

    return {"patterns": [one(name) for name in names]}
