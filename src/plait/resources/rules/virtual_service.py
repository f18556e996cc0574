"""Rules of VirtualServices: hosts, gateways, rules for TLS and TCP; those for HTTP are in the modules `http_`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plait.resources import durations
from plait.resources.networking.virtual_service import HTTPRoute, VirtualService
from plait.resources.rules import headers, http_action, http_match, names, words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding


def virtual_service(each: VirtualService) -> Iterator[Finding]:
    spec = each.spec
    for index, host in enumerate(spec.hosts):
        yield from names.host_or_address(f"spec.hosts[{index}]", host)
        if host == "*" and (not spec.gateways or "mesh" in spec.gateways):
            yield bad(f"spec.hosts[{index}]", "the host * needs gateways other than mesh; name them or the host")
    yield from _overlaps(spec.hosts)
    yield from names.gateways("spec.gateways", spec.gateways)
    if not (spec.http or spec.tls or spec.tcp):
        yield bad("spec", "there is no http, tls or tcp rule; add one")
    if not spec.hosts and (spec.tls or spec.tcp or spec.gateways):
        yield bad("spec.hosts", "a VirtualService without hosts is a delegate and has only http rules; add hosts")
    for index, route in enumerate(spec.http):
        yield from _http(f"spec.http[{index}]", route, spec)
    for index, tls in enumerate(spec.tls):
        path = f"spec.tls[{index}]"
        if not tls.match:
            yield bad(f"{path}.match", "a rule for TLS needs the server names it is for; add a match with sniHosts")
        yield from _l4(path, tls)
        for number, match in enumerate(tls.match):
            yield from _server_names(f"{path}.match[{number}].sniHosts", match.sni_hosts, spec.hosts)
    for index, tcp in enumerate(spec.tcp):
        yield from _l4(f"spec.tcp[{index}]", tcp)
    yield from names.export_to(spec.export_to, each.namespace)


def _overlaps(hosts: tuple[str, ...]) -> Iterator[Finding]:
    for index, host in enumerate(hosts):
        for earlier in hosts[:index]:
            if earlier == host:
                yield bad(f"spec.hosts[{index}]", f"the host {host!r} is given twice; remove one")
            elif "*" not in (host, earlier) and (covers(earlier, host) or covers(host, earlier)):
                yield bad(f"spec.hosts[{index}]", f"the hosts {earlier!r} and {host!r} overlap; keep one of them")


def covers(wide: str, narrow: str) -> bool:
    """Whether every name that `narrow` stands for is one of `wide`."""
    if not wide.startswith("*"):
        return wide == narrow
    return narrow.removeprefix("*").endswith(wide[1:])


def _server_names(path: str, given: tuple[str, ...], hosts: tuple[str, ...]) -> Iterator[Finding]:
    if not given:
        yield bad(path, "at least one host is needed; add one")
    for place, name in enumerate(given):
        yield from words.host(f"{path}[{place}]", name)
        if not any(covers(host, name) for host in hosts):
            yield bad(f"{path}[{place}]", f"{name!r} is not among the hosts; add it there or name one of them")


def _l4(path: str, rule: Any) -> Iterator[Finding]:
    if not rule.route:
        yield bad(f"{path}.route", "there is no destination; add one")
    yield from _split(path, rule.route)
    for number, match in enumerate(rule.match):
        place = f"{path}.match[{number}]"
        yield from words.port(f"{place}.port", match.port, zero=True)
        for position, subnet in enumerate(match.destination_subnets):
            yield from words.address(f"{place}.destinationSubnets[{position}]", subnet)
        yield from http_match.source(place, match)


def _split(path: str, routes: tuple[Any, ...]) -> Iterator[Finding]:
    for index, route in enumerate(routes):
        yield from destination(f"{path}.route[{index}].destination", route.destination)
        if route.weight < 0:
            yield bad(f"{path}.route[{index}].weight", f"{route.weight} is negative; write 0 or more")
    if len(routes) > 1 and sum(route.weight for route in routes) == 0:
        yield bad(f"{path}.route", "all weights are 0; give at least one destination a weight")


def destination(path: str, found: Any) -> Iterator[Finding]:
    """A service by its host, with a subset and a port where they are given."""
    if found is None:
        return
    if not found.host or found.host == "*":
        yield bad(f"{path}.host", "a destination needs the name of one service; write it")
    else:
        yield from words.host(f"{path}.host", found.host)
    if found.subset:
        yield from names.label(f"{path}.subset", found.subset, "subset name")
    if found.port is not None:
        yield from words.port(f"{path}.port.number", found.port.number)


def _http(path: str, route: HTTPRoute, spec: Any) -> Iterator[Finding]:
    actions = {
        "route": route.route,
        "redirect": route.redirect,
        "directResponse": route.direct_response,
        "delegate": route.delegate,
    }
    yield from words.exactly_one(path, actions)
    if not spec.hosts and route.delegate is not None:
        yield bad(f"{path}.delegate", "a delegate cannot delegate again; put the routes here")
    if route.redirect is not None:
        yield from http_action.redirect(f"{path}.redirect", route.redirect)
        if route.fault or route.rewrite:
            yield bad(path, "redirect excludes fault and rewrite; remove them")
    if route.direct_response is not None:
        yield from http_action.answer(f"{path}.directResponse", route.direct_response)
        if route.rewrite:
            yield bad(path, "directResponse excludes rewrite; remove one of them")
    yield from _split(path, route.route)
    for index, match in enumerate(route.match):
        known = match.gateways or spec.gateways
        place = f"{path}.match[{index}]"
        yield from http_match.match(place, match, gateways=known, delegates=route.delegate is not None)
    if route.timeout is not None and durations.seconds(route.timeout) != 0:
        yield from words.positive(f"{path}.timeout", route.timeout)
    if route.retries is not None:
        yield from http_action.retries(f"{path}.retries", route.retries)
    if route.fault is not None:
        yield from http_action.fault(f"{path}.fault", route.fault)
    if route.rewrite is not None:
        yield from http_action.rewrite(f"{path}.rewrite", route.rewrite)
    if route.cors_policy is not None:
        yield from http_action.cors(f"{path}.corsPolicy", route.cors_policy)
    yield from _mirrors(path, route)
    yield from _headers(path, route)


def _mirrors(path: str, route: HTTPRoute) -> Iterator[Finding]:
    yield from destination(f"{path}.mirror", route.mirror)
    if route.mirror is not None and route.mirrors:
        yield bad(path, "mirror and mirrors exclude each other; keep mirrors")
    yield from http_action.share(f"{path}.mirrorPercentage", route.mirror_percentage)
    for name, value in (("mirrorPercent", route.mirror_percent), ("mirror_percent", route.mirror_percent_old)):
        if value is not None and value > 100:
            yield bad(f"{path}.{name}", f"{value} is not a percent; write 0 to 100")
    for index, mirror in enumerate(route.mirrors):
        yield from destination(f"{path}.mirrors[{index}].destination", mirror.destination)
        yield from http_action.share(f"{path}.mirrors[{index}].percentage", mirror.percentage)


def _headers(path: str, route: HTTPRoute) -> Iterator[Finding]:
    yield from headers.changes(f"{path}.headers", route.headers)
    rewritten = 1 if route.rewrite is not None and route.rewrite.authority else 0
    for index, each in enumerate(route.route):
        yield from headers.changes(f"{path}.route[{index}].headers", each.headers)
    if rewritten + headers.sets_authority(route.headers) > 1:
        yield bad(path, "the authority is set twice; keep rewrite.authority or the header")
