"""HTTPRoute and GRPCRoute rules -> Routes, one for each match, because precedence is by match.

A rule with a reference that leads nowhere still stands: its share, or all of it, is answered with 500.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from plait.model.compile.traffic.gateway_api import filters
from plait.model.compile.traffic.gateway_api.backends import Backends
from plait.model.compile.traffic.report import Report
from plait.model.compile.traffic.values import expression
from plait.model.routes import (
    Action,
    FieldMatch,
    Forward,
    Match,
    PathMatch,
    Retry,
    Route,
    Session,
    TextMatch,
)
from plait.resources import durations
from plait.resources.gateway_api import routes as written
from plait.resources.gateway_api.shared import SessionPersistence

M = TypeVar("M", written.HTTPRouteMatch, written.GRPCRouteMatch)

BROKEN = 500


class Rules(msgspec.Struct):
    """All routes of an object, and the first thing wrong with its references or values."""

    routes: list[Route]
    unresolved: tuple[str, str] | None = None
    unsupported: str = ""
    served: bool = False
    """Whether one rule at least does what it says."""


def http(each: written.HTTPRoute, backends: Backends, report: Report) -> Rules:
    return _rules(each, written.HTTPRouteMatch(), _http_match, backends, report)


def grpc(each: written.GRPCRoute, backends: Backends, report: Report) -> Rules:
    return _rules(each, written.GRPCRouteMatch(), _grpc_match, backends, report)


def _rules(
    each: Any, everything: M, read: Callable[[M, str, Report], Match | None], backends: Backends, report: Report
) -> Rules:
    """Rules of either kind. One without matches matches `everything`; a match that cannot be read is left out."""
    found = Rules([])
    for number, rule in enumerate(each.spec.rules):
        matches = []
        for place, match in enumerate(rule.matches or (everything,)):
            path = f"spec.rules[{number}].matches[{place}]"
            made = read(match, path, report)
            if made is None:
                found.unsupported = found.unsupported or f"{path} cannot be read"
            else:
                matches.append(made)
        _rule(each, rule, number, matches, found, backends, report)
    return found


def _rule(
    each: Any, rule: Any, number: int, matches: list[Match], found: Rules, backends: Backends, report: Report
) -> None:
    kind = "HTTPRoute" if isinstance(each, written.HTTPRoute) else "GRPCRoute"
    path = f"spec.rules[{number}]"
    read, where = filters.read(rule.filters, backends, kind, each.namespace), f"{path}.filters"
    for alone in _alone(rule.backend_refs):
        if not read.unsupported:
            where = f"{path}.backendRefs[{rule.backend_refs.index(alone)}].filters"
        read = filters.joined(read, filters.read(alone.filters, backends, kind, each.namespace))
    action: Action = Forward((), BROKEN)  # a filter that cannot be run must not be skipped, nor another rule take over
    if read.unsupported:
        report.unsupported(where, read.unsupported)
        found.unsupported = found.unsupported or f"{path} answers {BROKEN}: {read.unsupported}"
    else:
        found.unresolved = found.unresolved or read.unresolved
        action = _action(each, rule, read, found, backends, kind, path, report)
        found.served = found.served or bool(matches)
    timeouts, retry = getattr(rule, "timeouts", None), getattr(rule, "retry", None)
    whole, one = _time(timeouts.request if timeouts else None), _time(timeouts.backend_request if timeouts else None)
    if retry is None and one:
        whole = min(whole or one, one)  # nothing is asked for but one try: its time is the whole
    tries = _retry(retry, one)
    for place, match in enumerate(matches):
        found.routes.append(
            Route(
                name=f"{each.namespace}.{each.name}.{rule.name or number}" + (f".{place}" if place else ""),
                matches=(match,),
                action=action,
                rewrite=read.rewrite,
                timeout=whole,
                retry=tries,
                mirrors=read.mirrors,
                cors=read.cors,
                request=read.request,
                response=read.response,
                session=_session(rule.session_persistence, f"{path}.sessionPersistence", report),
                source=f"{kind}/{each.namespace}/{each.name}",
            )
        )


def _action(
    each: Any,
    rule: Any,
    read: filters.Read,
    found: Rules,
    backends: Backends,
    kind: str,
    path: str,
    report: Report,
) -> Action:
    if read.redirect is not None:
        return read.redirect
    if read.unrunnable:
        return Forward((), BROKEN)
    destinations = []
    alone = _alone(rule.backend_refs)
    for number, ref in enumerate(rule.backend_refs):
        where = f"{path}.backendRefs[{number}]"
        backend = backends.find(ref, kind, each.namespace, ref.weight)
        if backend.reason:
            found.unresolved = found.unresolved or (backend.reason, backend.destination.broken)
            report.error("IST0101", where, backend.destination.broken)
        own = filters.read(ref.filters, backends, kind, each.namespace)
        found.unresolved = found.unresolved or own.unresolved
        lost = own.unrunnable
        if not alone and filters.beyond_headers(own):
            lost = f"only header changes can stand at one of several backends; its share is answered with {BROKEN}"
            report.unsupported(f"{where}.filters", lost)
            found.unsupported = found.unsupported or f"{where}.filters: {lost}"
        destination = backend.destination
        if lost:
            destination = msgspec.structs.replace(destination, broken=lost)
        destinations.append(msgspec.structs.replace(destination, request=own.request, response=own.response))
    return Forward(tuple(destinations), BROKEN)


def _alone(backend_refs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The only backend that gets anything: its filters act on every request of the rule, so all of them can stand."""
    live = tuple(each for each in backend_refs if each.weight > 0)
    return live if len(live) == 1 else ()


def _http_match(found: written.HTTPRouteMatch, path: str, report: Report) -> Match | None:
    where = _path(found.path, path, report)
    fields = [_field(each, f"{path}.headers[{n}]", report) for n, each in enumerate(_first(found.headers))]
    query = [_field(each, f"{path}.queryParams[{n}]", report, lower=False) for n, each in enumerate(found.query_params)]
    if where is None or None in fields or None in query:
        return None
    return Match(
        path=where,
        method=TextMatch("exact", found.method) if found.method else None,
        headers=tuple(field for field in fields if field is not None),
        query=tuple(field for field in query if field is not None),
    )


def _path(found: written.HTTPPathMatch, path: str, report: Report) -> PathMatch | None:
    if found.type == "Exact":
        return PathMatch("exact", found.value)
    if found.type == "PathPrefix":
        return PathMatch("segments", found.value.rstrip("/") or "/")
    return PathMatch("regex", found.value) if expression(found.value, f"{path}.path.value", report) else None


def _first(headers: tuple[Any, ...]) -> tuple[Any, ...]:
    """Of headers that are named twice (in any case) only the first counts."""
    kept: dict[str, Any] = {}
    for header in headers:
        kept.setdefault(header.name.lower(), header)
    return tuple(kept.values())


def _field(each: Any, path: str, report: Report, *, lower: bool = True) -> FieldMatch | None:
    name = each.name.lower() if lower else each.name
    if each.type == "Exact":
        return FieldMatch(name, TextMatch("exact", each.value))
    return FieldMatch(name, TextMatch("regex", each.value)) if expression(each.value, f"{path}.value", report) else None


def _grpc_match(found: written.GRPCRouteMatch, path: str, report: Report) -> Match | None:
    fields = [_field(each, f"{path}.headers[{n}]", report) for n, each in enumerate(_first(found.headers))]
    if None in fields:
        return None
    where = None
    if (call := found.method) is not None:
        service, method = call.service or "", call.method or ""
        if call.type == "RegularExpression":
            text = f"/{service or '[^/]+'}/{method or '[^/]+'}"
            if not expression(text, f"{path}.method", report):
                return None
            where = PathMatch("regex", text)
        elif service and method:
            where = PathMatch("exact", f"/{service}/{method}")
        elif service:
            where = PathMatch("prefix", f"/{service}/")
        elif method:
            where = PathMatch("regex", f"/[^/]+/{method}")
    return Match(path=where, headers=tuple(field for field in fields if field is not None), grpc=True)


def _time(text: str | None) -> float | None:
    return durations.gateway_seconds(text) if text else None


def _retry(given: written.HTTPRouteRetry | None, per_try: float | None) -> Retry | None:
    if given is None:
        return None
    backoff = _time(given.backoff)
    on = ("connect-failure", "refused-stream", "unavailable", "cancelled")
    attempts = given.attempts if given.attempts is not None else 2
    return Retry(attempts, on, given.codes, per_try or None, backoff or None)


def _session(given: SessionPersistence | None, path: str, report: Report) -> Session | None:
    if given is None:
        return None
    lifetime = _time(given.absolute_timeout)
    config = given.cookie_config if given.type == "Cookie" else None
    permanent = config is not None and config.lifetime_type == "Permanent"
    if permanent and lifetime is None:
        report.error("PLT0401", f"{path}.absoluteTimeout", "a permanent cookie needs absoluteTimeout; add it")
    if lifetime is not None and not permanent:
        # Who keeps the session would have to know when it began; a cookie's own end is known by the client alone.
        report.unsupported(f"{path}.absoluteTimeout", "use a cookie with lifetimeType Permanent, or remove it")
        lifetime = None
    return Session("header" if given.type == "Header" else "cookie", given.session_name or "", lifetime)
