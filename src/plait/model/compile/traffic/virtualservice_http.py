"""One HTTP rule of a VirtualService -> Route. Defaults and spellings of Istio end here; nothing is looked up."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from plait.model import hostnames as hosts
from plait.model.attachment import labels_of
from plait.model.compile.traffic.report import BAD_VALUE, NO_EFFECT, Report
from plait.model.compile.traffic.values import Unusable, changes, expression, seconds, text_match
from plait.model.mesh import Settings
from plait.model.routes import (
    NO_CHANGE,
    Abort,
    Action,
    ClaimMatch,
    Cors,
    Delay,
    Destination,
    Fault,
    FieldMatch,
    Forward,
    HeaderChange,
    Match,
    Mirror,
    PathMatch,
    Redirect,
    Respond,
    Retry,
    Rewrite,
    Route,
    TextMatch,
)
from plait.resources import grpc_status
from plait.resources.networking import traffic
from plait.resources.networking import virtual_service as written
from plait.resources.networking.virtual_service import HTTPMatchRequest, HTTPRoute, VirtualService

_CLAIMS = "@request.auth.claims"
_BY_CODE = ("retriable-status-codes",)


def gateway_key(name: str, namespace: str) -> str:
    return name if "/" in name else f"{namespace}/{name}"


def route(each: VirtualService, rule: HTTPRoute, path: str, settings: Settings, report: Report) -> Route | None:
    """The rule, or None when it has matches and none of them can be read (then it must not take everything)."""
    matches = tuple(_matches(each, rule, path, report))
    if rule.match and not matches:
        return None
    action = _action(each, rule, path, settings, report)
    if action is None:
        return None
    request, response = _headers(rule.headers)
    return Route(
        name=rule.name,
        matches=matches,
        action=action,
        rewrite=_rewrite(rule.rewrite, f"{path}.rewrite", report),
        timeout=seconds(rule.timeout, f"{path}.timeout", report),
        retry=_retry(rule.retries, f"{path}.retries", report),
        fault=_fault(rule.fault, f"{path}.fault", report),
        mirrors=tuple(_mirrors(each, rule, settings)),
        cors=_cors(rule.cors_policy, f"{path}.corsPolicy", report),
        request=request,
        response=response,
        source=f"VirtualService/{each.namespace}/{each.name}",
    )


def destination(found: traffic.Destination, weight: int, namespace: str, settings: Settings) -> Destination:
    port = found.port.number if found.port is not None else 0
    return Destination(hosts.full(found.host, namespace, settings), port, found.subset, weight)


def retry(given: written.HTTPRetry | None, path: str, report: Report) -> Retry | None:
    return _retry(given, path, report)


def _matches(each: VirtualService, rule: HTTPRoute, path: str, report: Report) -> Iterator[Match]:
    for number, match in enumerate(rule.match):
        try:
            yield _match(each, match, f"{path}.match[{number}]", report)
        except Unusable:
            continue


def _match(each: VirtualService, found: HTTPMatchRequest, path: str, report: Report) -> Match:
    fields, claims = _fields(found, path, report)
    # Who asks is not looked at where the match names its gateways: Istio has the two independent of each other.
    anybody = bool(found.gateways)
    if anybody and (found.source_labels or found.source_namespace):
        text = "a match that names gateways does not look at who asks; write two rules"
        report.say(NO_EFFECT, f"{path}.sourceLabels", text)
    return Match(
        name=found.name,
        path=_path(found, path, report),
        method=text_match(found.method, f"{path}.method", report),
        scheme=text_match(found.scheme, f"{path}.scheme", report),
        authority=text_match(found.authority, f"{path}.authority", report),
        headers=fields,
        query=tuple(
            FieldMatch(name, _presence_or(value, f"{path}.queryParams[{name}]", report))
            for name, value in found.query_params.items()
        ),
        claims=claims,
        port=found.port,
        source_labels=() if anybody else labels_of(found.source_labels),
        source_namespace="" if anybody else found.source_namespace,
        gateways=tuple("mesh" if name == "mesh" else gateway_key(name, each.namespace) for name in found.gateways),
        stat_prefix=found.stat_prefix,
    )


def _path(found: HTTPMatchRequest, path: str, report: Report) -> PathMatch | None:
    uri = text_match(found.uri, f"{path}.uri", report)
    if uri is None:
        return None
    how = uri.how
    if how not in ("exact", "prefix", "regex"):
        return None
    # An expression says itself whether it looks at case.
    return PathMatch(
        "regex" if how == "regex" else "prefix" if how == "prefix" else "exact",
        uri.value,
        found.ignore_uri_case and how != "regex",
    )


def _fields(
    found: HTTPMatchRequest, path: str, report: Report
) -> tuple[tuple[FieldMatch, ...], tuple[ClaimMatch, ...]]:
    fields: list[FieldMatch] = []
    claims: list[ClaimMatch] = []
    for where, given, negated in (("headers", found.headers, False), ("withoutHeaders", found.without_headers, True)):
        for name, value in given.items():
            test = _presence_or(value, f"{path}.{where}[{name}]", report)
            if name.startswith(_CLAIMS):
                claims.append(ClaimMatch(_claim(name.removeprefix(_CLAIMS)), test, negated))
            else:
                fields.append(FieldMatch(name.lower(), test, negated))
    return tuple(fields), tuple(claims)


def _presence_or(value: traffic.StringMatch, path: str, report: Report) -> TextMatch:
    """Nothing asked, or `*` (which is no expression), is the bare test of presence."""
    if value.regex == "*":
        return TextMatch("present")
    return text_match(value, path, report) or TextMatch("present")


def _claim(rest: str) -> tuple[str, ...]:
    """`.a.b` is split at dots; `[a.b][c]` at brackets."""
    if rest.startswith("["):
        return tuple(rest.removeprefix("[").removesuffix("]").split("]["))
    return tuple(part for part in rest.split(".") if part)


def _action(each: VirtualService, rule: HTTPRoute, path: str, settings: Settings, report: Report) -> Action | None:
    if rule.redirect is not None:
        return _redirect(rule.redirect)
    if rule.direct_response is not None:
        return _respond(rule.direct_response, f"{path}.directResponse", report)
    if not rule.route and rule.delegate is None:
        report.error(BAD_VALUE, path, "the rule has no action; add route, redirect, directResponse or delegate")
        return None
    single = len(rule.route) == 1
    return Forward(tuple(_split(each, split, single, settings) for split in rule.route))


def _split(each: VirtualService, split: written.HTTPRouteDestination, single: bool, settings: Settings) -> Destination:
    request, response = _headers(split.headers)
    weight = 1 if single else max(split.weight, 0)
    port = split.destination.port.number if split.destination.port is not None else 0
    hostname = hosts.full(split.destination.host, each.namespace, settings)
    return Destination(hostname, port, split.destination.subset, weight, request, response)


def _headers(given: written.Headers | None) -> tuple[HeaderChange, HeaderChange]:
    if given is None:
        return NO_CHANGE, NO_CHANGE
    return _change(given.request), _change(given.response)


def _change(given: written.HeaderOperations | None) -> HeaderChange:
    return NO_CHANGE if given is None else changes(given.set, given.add, given.remove)


def _redirect(found: written.HTTPRedirect) -> Redirect:
    port = found.port
    if port is None and found.derive_port != "FROM_REQUEST_PORT":
        port = 0
    prefix = found.prefix_rewrite or None
    return Redirect(found.redirect_code or 301, found.scheme, found.authority, port, found.uri, prefix)


def _respond(found: written.HTTPDirectResponse, path: str, report: Report) -> Respond:
    body = b""
    if found.body is not None and found.body.string is not None:
        body = found.body.string.encode()
    elif found.body is not None and found.body.bytes is not None:
        try:
            body = base64.b64decode(found.body.bytes, validate=True)
        except ValueError:
            report.error(BAD_VALUE, f"{path}.body.bytes", "the value is not base64; encode it")
    return Respond(found.status, body)


def _rewrite(found: written.HTTPRewrite | None, path: str, report: Report) -> Rewrite | None:
    if found is None:
        return None
    regex, substitution = "", ""
    pattern = found.uri_regex_rewrite
    if pattern is not None and expression(pattern.match, f"{path}.uriRegexRewrite.match", report):
        regex, substitution = pattern.match, pattern.rewrite
    # Istio replaces what the match's prefix took, or the whole path of an exact match: the translator sees the match.
    return Rewrite(found.authority, "", found.uri or None, regex, substitution)


def _retry(found: written.HTTPRetry | None, path: str, report: Report) -> Retry | None:
    if found is None:
        return None
    words = tuple(word.strip() for word in found.retry_on.split(",") if word.strip())
    return Retry(
        attempts=max(found.attempts, 0),
        on=tuple(word for word in words if not word.isdigit()) or (_BY_CODE if words else ()),
        codes=tuple(int(word) for word in words if word.isdigit()),
        per_try_timeout=seconds(found.per_try_timeout, f"{path}.perTryTimeout", report) or None,
        backoff=seconds(found.backoff, f"{path}.backoff", report) or None,
        other_localities=bool(found.retry_remote_localities),
        other_hosts=found.retry_ignore_previous_hosts,
    )


def _fault(found: written.HTTPFaultInjection | None, path: str, report: Report) -> Fault | None:
    if found is None:
        return None
    delay, abort = None, None
    if (slow := found.delay) is not None:
        if slow.exponential_delay is not None:
            report.unsupported(f"{path}.delay.exponentialDelay", "use fixedDelay")
        length = seconds(slow.fixed_delay, f"{path}.delay.fixedDelay", report)
        share = _share(slow.percentage, slow.percent, f"{path}.delay", report)
        if length and share:
            delay = Delay(length, share)
    if (failure := found.abort) is not None:
        share = _share(failure.percentage, None, f"{path}.abort", report)
        if not share:
            pass
        elif failure.http2_error is not None:
            report.unsupported(f"{path}.abort.http2Error", "use httpStatus or grpcStatus")
        elif failure.grpc_status is not None:
            word = failure.grpc_status.upper()
            number = (
                int(word) if word.isdigit() else grpc_status.CODES.index(word) if word in grpc_status.CODES else None
            )
            if number is None:
                text = f"{failure.grpc_status!r} is no gRPC status; write a name such as UNAVAILABLE"
                report.error(BAD_VALUE, f"{path}.abort.grpcStatus", text)
            else:
                abort = Abort(share, 0, number)
        elif failure.http_status is not None:
            abort = Abort(share, failure.http_status)
    return Fault(delay, abort) if delay is not None or abort is not None else None


def _share(share: traffic.FractionPercent | None, old: int | None, path: str, report: Report) -> float:
    """Of requests that get a fault: none where nobody says how many."""
    if share is None and old is None:
        report.say(
            NO_EFFECT, f"{path}.percentage", "without a percentage no request gets this fault; write {value: 100}"
        )
        return 0.0
    return _percent(share, old)


def _percent(share: traffic.FractionPercent | None, old: int | None) -> float:
    return share.value if share is not None else float(old) if old is not None else 100.0


def _mirrors(each: VirtualService, rule: HTTPRoute, settings: Settings) -> Iterator[Mirror]:
    if rule.mirror is not None:
        old = rule.mirror_percent if rule.mirror_percent is not None else rule.mirror_percent_old
        percent = _percent(rule.mirror_percentage, old)
        if percent > 0:
            yield Mirror(destination(rule.mirror, 1, each.namespace, settings), percent)
    for mirror in rule.mirrors:
        percent = _percent(mirror.percentage, None)
        if percent > 0:
            yield Mirror(destination(mirror.destination, 1, each.namespace, settings), percent)


def _cors(found: written.CorsPolicy | None, path: str, report: Report) -> Cors | None:
    if found is None:
        return None
    origins = [TextMatch("present") if text == "*" else TextMatch("exact", text) for text in found.allow_origin]
    for number, origin in enumerate(found.allow_origins):
        try:
            if (test := text_match(origin, f"{path}.allowOrigins[{number}]", report)) is not None:
                origins.append(TextMatch("present") if test == TextMatch("exact", "*") else test)
        except Unusable:
            continue
    return Cors(
        tuple(origins),
        found.allow_methods,
        found.allow_headers,
        found.expose_headers,
        seconds(found.max_age, f"{path}.maxAge", report),
        found.allow_credentials,
        found.unmatched_preflights != "IGNORE",
    )
