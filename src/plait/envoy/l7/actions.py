"""What a route does: forward to clusters by weight, redirect, or answer. And everything that goes with forwarding."""

from __future__ import annotations

import base64
import re

from plait.envoy.l7 import headers, matchers
from plait.envoy.l7.context import Context, percent, seconds
from plait.envoy.pieces import Doc
from plait.model.routes import Destination, Forward, Match, Mirror, Redirect, Respond, Retry, Rewrite, Route
from plait.model.traffic import Hash

_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_RETRY_ON = ("connect-failure", "refused-stream", "unavailable", "cancelled")
_MISSING = {404: "NOT_FOUND", 500: "INTERNAL_SERVER_ERROR", 503: "SERVICE_UNAVAILABLE"}


def action(ctx: Context, route: Route, match: Match) -> Doc:
    """The fields of a Route that say what happens: one of `route`, `redirect`, `direct_response`."""
    match route.action:
        case Redirect():
            return {"redirect": _redirect(ctx, route.action, match, route.source)}
        case Respond():
            return {"direct_response": respond(route.action)}
        case Forward():
            return _forward(ctx, route, route.action, match)


def respond(answer: Respond) -> Doc:
    document: Doc = {"status": answer.status}
    if answer.body:
        try:
            document["body"] = {"inline_string": answer.body.decode()}
        except UnicodeDecodeError:
            document["body"] = {"inline_bytes": base64.b64encode(answer.body).decode()}
    return document


def _redirect(ctx: Context, wanted: Redirect, match: Match, source: str) -> Doc:
    document: Doc = {}
    if wanted.code in _CODES:
        document["response_code"] = _CODES[wanted.code]
    else:
        ctx.refuse(source, "redirect.code", f"Envoy redirects with {sorted(_CODES)}, not {wanted.code}; 301 is used")
    if wanted.scheme:
        document["scheme_redirect"] = wanted.scheme
    if wanted.host:
        document["host_redirect"] = wanted.host
    default = _DEFAULT_PORTS.get(wanted.scheme or ("https" if ctx.secure else "http"), 0)
    if wanted.port and wanted.port != default:
        document["port_redirect"] = wanted.port
    if wanted.path:
        document["path_redirect"] = wanted.path
    elif wanted.prefix is not None:
        document |= _prefix(match, wanted.prefix)
    return document


def _forward(ctx: Context, route: Route, wanted: Forward, match: Match) -> Doc:
    live = [each for each in wanted.destinations if each.weight > 0]
    if not any(ctx.known(each) for each in live):
        return {"direct_response": {"status": wanted.missing_status}}
    document: Doc = {}
    one = live[0]
    if len(live) == 1:
        document["cluster"] = ctx.cluster_of(one)
    else:
        document["weighted_clusters"] = {"clusters": [_weighted(ctx, each, route.source) for each in live]}
    document["cluster_not_found_response_code"] = _missing(ctx, wanted.missing_status, route.source)
    document |= _rewritten(ctx, route, match, one if len(live) == 1 else None)
    document["timeout"] = document["max_grpc_timeout"] = seconds(route.timeout or 0.0)
    if mirrors := [_mirror(ctx, each) for each in route.mirrors if _mirrored(ctx, each, route.source)]:
        document["request_mirror_policies"] = mirrors
    if hashes := [
        _hash(found.policy.balancing.hash)
        for each in live
        if (found := ctx.upstream(each)) is not None
        and found.policy.balancing is not None
        and found.policy.balancing.hash is not None
    ]:
        document["hash_policy"] = [each for index, each in enumerate(hashes) if each not in hashes[:index]]
    sticky = bool(hashes) and len(live) == 1
    if (policy := _retry(route.retry or ctx.settings.retry or Retry(), sticky)) is not None:
        document["retry_policy"] = policy
    result: Doc = {"route": document}
    if len(live) == 1:
        result |= headers.request(ctx, one.request, route.source) | headers.response(ctx, one.response, route.source)
    return result


def _missing(ctx: Context, status: int, source: str) -> str:
    if status not in _MISSING:
        ctx.refuse(
            source, "", f"Envoy answers for a missing cluster with {sorted(_MISSING)}, not {status}; 503 is used"
        )
    return _MISSING.get(status, "SERVICE_UNAVAILABLE")


def _weighted(ctx: Context, each: Destination, source: str) -> Doc:
    document: Doc = {"name": ctx.cluster_of(each) if not each.broken else f"broken|{each.hostname}"}
    document["weight"] = each.weight
    document |= headers.request(ctx, each.request, source) | headers.response(ctx, each.response, source)
    if host := headers.host(each.request):
        document["host_rewrite_literal"] = host
    return document


def _rewritten(ctx: Context, route: Route, match: Match, only: Destination | None) -> Doc:
    document: Doc = {}
    wanted = route.rewrite or Rewrite()
    host = wanted.host or headers.host(route.request) or (headers.host(only.request) if only else "")
    if host:
        document["host_rewrite_literal"] = host
    if wanted.regex:
        if matchers.sound(wanted.regex):
            document["regex_rewrite"] = _regex(wanted.regex, wanted.substitution)
        else:
            ctx.refuse(route.source, "rewrite.uriRegexRewrite", f"{wanted.regex!r} is no RE2 expression; not rewritten")
    elif wanted.path:
        document["regex_rewrite"] = _regex("^.*$", _plain(wanted.path))
    elif wanted.prefix is not None:
        document |= _prefix(match, wanted.prefix)
    return document


def _prefix(match: Match, new: str) -> Doc:
    """Envoy replaces a prefix letter by letter; of whole segments the slash between must be looked after."""
    if match.path is None or match.path.how != "segments":
        return {"prefix_rewrite": new}
    old, fresh = match.path.value.rstrip("/"), new.rstrip("/")
    fold = "(?i)" if match.path.ignore_case else ""
    if not old or not fresh:
        return {"regex_rewrite": _regex(f"{fold}^{re.escape(old)}/*(.*)$", f"{_plain(fresh)}/\\1")}
    return {"prefix_rewrite": fresh}


def _regex(pattern: str, substitution: str) -> Doc:
    return {"pattern": {"regex": pattern}, "substitution": substitution}


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\")


def _retry(wanted: Retry, sticky: bool) -> Doc | None:
    if wanted.attempts <= 0:
        return None
    conditions = list(wanted.on or _RETRY_ON)
    if wanted.codes and "retriable-status-codes" not in conditions:
        conditions.append("retriable-status-codes")
    document: Doc = {"retry_on": ",".join(conditions), "num_retries": wanted.attempts}
    if wanted.codes:
        document["retriable_status_codes"] = list(wanted.codes)
    if wanted.per_try_timeout:
        document["per_try_timeout"] = seconds(wanted.per_try_timeout)
    if wanted.backoff:
        document["retry_back_off"] = {
            "base_interval": seconds(wanted.backoff),
            "max_interval": seconds(wanted.backoff * 10),
        }
    if not sticky if wanted.other_hosts is None else wanted.other_hosts:
        document["retry_host_predicate"] = [_EXTENSIONS["hosts"]]
        document["host_selection_retry_max_attempts"] = 5
    if wanted.other_localities:
        document["retry_priority"] = _EXTENSIONS["priorities"]
    return document


_EXTENSIONS: dict[str, Doc] = {
    "hosts": {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
        },
    },
    "priorities": {
        "name": "envoy.retry_priorities.previous_priorities",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3"
            ".PreviousPrioritiesConfig",
            "update_frequency": 2,
        },
    },
}


def _mirrored(ctx: Context, wanted: Mirror, source: str) -> bool:
    if ctx.known(wanted.destination):
        return True
    ctx.refuse(source, "mirror", f"no such destination {wanted.destination.hostname}; nothing is mirrored")
    return False


def _mirror(ctx: Context, wanted: Mirror) -> Doc:
    return {
        "cluster": ctx.cluster_of(wanted.destination),
        "runtime_fraction": {"default_value": percent(wanted.percent)},
        "trace_sampled": False,
    }


def _hash(wanted: Hash) -> Doc:
    if wanted.header:
        return {"header": {"header_name": wanted.header}}
    if wanted.cookie is not None:
        cookie: Doc = {"name": wanted.cookie.name}
        if wanted.cookie.ttl is not None:
            cookie["ttl"] = seconds(wanted.cookie.ttl)
        if wanted.cookie.path:
            cookie["path"] = wanted.cookie.path
        if wanted.cookie.attributes:
            cookie["attributes"] = [{"name": name, "value": text} for name, text in wanted.cookie.attributes]
        return {"cookie": cookie}
    if wanted.query:
        return {"query_parameter": {"name": wanted.query}}
    return {"connection_properties": {"source_ip": True}}
