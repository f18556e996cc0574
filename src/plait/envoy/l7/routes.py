"""Route configurations: virtual hosts with their domains, routes with every match, and what a route says per filter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial

from plait.envoy.l7 import actions, headers, matchers
from plait.envoy.l7.authorization import FS_PRINCIPAL, of_namespace
from plait.envoy.l7.context import Context, percent, seconds
from plait.envoy.l7.matchers import claim, header, path, pseudo, query
from plait.envoy.pieces import Constant, Doc, any_of, extension
from plait.model.attachment import carries
from plait.model.routes import Cors, Fault, Match, Respond, Route, Session, VirtualHost

FAULT, CORS, SESSION = "envoy.filters.http.fault", "envoy.filters.http.cors", "envoy.filters.http.stateful_session"


def configuration(
    ctx: Context, name: str, hosts: Iterable[VirtualHost], port: int, *, lasting: bool = False, **more: object
) -> Doc:
    """One RouteConfiguration. A domain may stand only once in it: the first virtual host keeps it.

    `lasting`: the context's proxy is told of many hosts of which few change at a time, so each is a part of its own.
    """
    parted = list(_parted(ctx, name, hosts))
    if lasting:
        found = ctx.each(f"{name}:{port}", parted, lambda host: host.name, partial(_lasting, port))
    else:
        found = [_virtual_host(ctx, host, port) for host in parted]
    document: Doc = {"name": name, "virtual_hosts": list(found), "validate_clusters": False, **more}
    bodies = (route.action.body for host in parted for route in host.routes if isinstance(route.action, Respond))
    if (longest := max(map(len, bodies), default=0)) > 4096:
        document["max_direct_response_body_size_bytes"] = longest
    return document


def _parted(ctx: Context, name: str, hosts: Iterable[VirtualHost]) -> Iterator[VirtualHost]:
    """Each with a name of its own and the domains that no other before it has."""
    taken: set[str] = set()
    names: set[str] = set()
    for host in hosts:
        domains = {domain: domain.lower() for domain in host.domains}
        for domain in [domain for domain, folded in domains.items() if folded in taken]:
            ctx.refuse("", f"{name}.{host.name}", f"the host {domain} is taken by another virtual host of the port")
            del domains[domain]
        if not domains:
            continue
        taken.update(domains.values())
        own = host.name if host.name not in names else f"{host.name}#{len(names)}"
        names.add(own)
        kept = own == host.name and len(domains) == len(host.domains)
        yield host if kept else VirtualHost(own, tuple(domains), host.routes, host.https_only)


def _lasting(port: int, ctx: Context, host: VirtualHost) -> Doc:
    return Constant(_virtual_host(ctx, host, port))


def _virtual_host(ctx: Context, host: VirtualHost, port: int) -> Doc:
    routes = [made for route in host.routes for made in _routes(ctx, route, port)]
    document: Doc = {"name": host.name, "domains": list(host.domains), "routes": routes}
    if ctx.settings.headers.attempt_count:
        document["include_request_attempt_count"] = True
    if host.https_only:
        document["require_tls"] = "ALL"
    return document


def _routes(ctx: Context, route: Route, port: int) -> Iterable[Doc]:
    """One Envoy route for each match; a match that cannot be said is left out, never widened."""
    for number, match in enumerate(route.matches or (Match(),)):
        if ctx.proxy.role == "waypoint" and match.source_labels:
            path = f"{route.name}.match[{number}].sourceLabels"
            ctx.refuse(route.source, path, "a waypoint cannot tell the labels of callers; requests do not match here")
            continue
        if not _ours(ctx, match):
            continue
        tested = _match(match)
        if isinstance(tested, str):
            ctx.refuse(route.source, f"{route.name}.match[{number}]", f"{tested}; requests do not match here")
            continue
        if ctx.proxy.role == "waypoint" and match.source_namespace:
            caller = of_namespace(re.escape(match.source_namespace))
            tested["filter_state"] = [{"key": FS_PRINCIPAL, "string_match": caller}]
        document: Doc = {"match": tested}
        if route.name or match.name:
            document["name"] = f"{route.name}.{match.name}" if match.name else route.name
        document |= actions.action(ctx, route, match)
        document["decorator"] = {"operation": _operation(route, document, port)}
        _merge(document, headers.request(ctx, route.request, route.source))
        _merge(document, headers.response(ctx, route.response, route.source))
        if match.stat_prefix:
            document["stat_prefix"] = match.stat_prefix
        if filters := per_filter(ctx, route):
            document["typed_per_filter_config"] = filters
        if route.source:
            document["metadata"] = {"filter_metadata": {"istio": {"config": route.source}}}
        yield document


def _merge(document: Doc, more: Doc) -> None:
    for key, entries in more.items():
        document[key] = [*entries, *document.get(key, [])]


def _operation(route: Route, document: Doc, port: int) -> str:
    """What spans are called: host, port and path of the one destination, else the object's name for the host."""
    match = document["match"]
    path = match.get("path") or match.get("safe_regex", {}).get("regex") or f"{match.get('prefix', '/')}*"
    cluster = document.get("route", {}).get("cluster", "").split("|")
    if len(cluster) == 4:
        return f"{cluster[3]}:{cluster[1]}{path}"
    return f"{route.source.rpartition('/')[2] or route.name}:{port}{path}"


def _ours(ctx: Context, match: Match) -> bool:
    """Whether this proxy is a source the match is about. A waypoint is none: it asks each caller's identity."""
    if ctx.proxy.role == "waypoint":
        return True
    if match.source_namespace and match.source_namespace != ctx.proxy.namespace:
        return False
    return carries(ctx.proxy.tags, match.source_labels)


def _match(match: Match) -> Doc | str:
    """The RouteMatch, or what of it Envoy cannot say."""
    document: Doc = {"prefix": "/"}
    if match.path is not None:
        found = path(match.path)
        if found is None:
            return f"the path {match.path.value!r} is no valid {match.path.how} test"
        document = found
    special = ((":method", match.method), (":scheme", match.scheme), (":authority", match.authority))
    tests = [pseudo(name, test) for name, test in special if test is not None]
    tests += [header(test) for test in match.headers]
    asked = [query(test) for test in match.query]
    claims = [claim(test) for test in match.claims]
    if None in tests or None in asked or None in claims:
        return "a header, query parameter or claim test is no valid expression (negated query parameters do not exist)"
    if tests:
        document["headers"] = tests
    if asked:
        document["query_parameters"] = asked
    if claims:
        document["dynamic_metadata"] = claims
    if match.grpc:
        document["grpc"] = {}
    return document


def per_filter(ctx: Context, route: Route) -> Doc:
    document: Doc = {}
    if route.fault is not None:
        document[FAULT] = _fault(route.fault)
    if route.cors is not None:
        document[CORS] = _cors(ctx, route.cors, route.source)
    if route.session is not None:
        document[SESSION] = any_of(
            "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute",
            stateful_session={"session_state": _session(route.session)},
        )
    if route.external_authorization:
        document[ext_authz_name(route.external_authorization)] = any_of(
            "envoy.config.route.v3.FilterConfig",
            config=any_of("envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", check_settings={}),
        )
    return document


def ext_authz_name(provider: str) -> str:
    """The filter that only routes which name the provider switch on."""
    return f"envoy.filters.http.ext_authz.route.{provider}"


def _fault(fault: Fault) -> Doc:
    document = any_of("envoy.extensions.filters.http.fault.v3.HTTPFault")
    if fault.delay is not None:
        document["delay"] = {"fixed_delay": seconds(fault.delay.seconds), "percentage": percent(fault.delay.percent)}
    if fault.abort is not None:
        document["abort"] = {"percentage": percent(fault.abort.percent)}
        if fault.abort.grpc is not None:
            document["abort"]["grpc_status"] = fault.abort.grpc
        else:
            document["abort"]["http_status"] = fault.abort.status or 503
    return document


def _cors(ctx: Context, cors: Cors, source: str) -> Doc:
    origins = [matchers.string(test) for test in cors.origins]
    if None in origins:
        ctx.refuse(source, "corsPolicy.allowOrigins", "not a RE2 expression; that origin is not allowed")
    document = any_of(
        "envoy.extensions.filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=[test for test in origins if test is not None],
        forward_not_matching_preflights=cors.forward_unmatched,
        filter_enabled={"default_value": {"numerator": 100}},
    )
    for name, values in (
        ("allow_methods", cors.methods),
        ("allow_headers", cors.headers),
        ("expose_headers", cors.exposed),
    ):
        if values:
            document[name] = ",".join(values)
    if cors.max_age is not None:
        document["max_age"] = str(int(cors.max_age))
    if cors.credentials is not None:
        document["allow_credentials"] = cors.credentials
    return document


def _session(session: Session) -> Doc:
    base = "envoy.extensions.http.stateful_session"
    name = session.name or "plait-session"
    if session.how == "header":
        kind = f"{base}.header.v3.HeaderBasedSessionState"
        return extension("envoy.http.stateful_session.header", kind, name=name)
    cookie: Doc = {"name": name, "path": "/"}
    if session.lifetime is not None:
        cookie["ttl"] = seconds(session.lifetime)
    return extension("envoy.http.stateful_session.cookie", f"{base}.cookie.v3.CookieBasedSessionState", cookie=cookie)
