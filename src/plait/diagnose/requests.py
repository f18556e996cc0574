"""Would this policy, or this route, match such a request? Yes, no, or it depends (None) on what nobody said (a token).

The proxies decide; this answers people who ask before they send. Semantics are those of `model.http_security`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address, ip_network
from typing import TypeVar

from msgspec import Struct

from plait.base import spiffe
from plait.model.http_security import Condition, HttpPolicy, HttpRule, Operation, PathText, Source
from plait.model.policies import Account, Range, Text
from plait.model.routes import Match, PathMatch, TextMatch

Verdict = bool | None
T = TypeVar("T")


class Request(Struct, frozen=True, gc=False):
    """What is asked. `principal` is the SPIFFE URI of the caller as the judging proxy sees it, "" none."""

    method: str = "GET"
    path: str = "/"
    host: str = ""
    port: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    """Names in lower case; a header that is not here is not sent."""
    principal: str = ""
    source: str = ""
    """Address of the caller; "" unknown."""

    @property
    def bare_path(self) -> str:
        return self.path.partition("?")[0]

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name.lower()), None)


def policy_matches(policy: HttpPolicy, request: Request) -> Verdict:
    return _any(_rule(rule, request) for rule in policy.rules)


def route_matches(matches: Iterable[Match], request: Request) -> Verdict:
    """Of a route: any of its matches; none of them takes everything."""
    found = tuple(matches)
    return _any(_match(each, request) for each in found) if found else True


# Logic of three values ---


def _any(parts: Iterable[Verdict]) -> Verdict:
    found = list(parts)
    return True if True in found else None if None in found else False


def _all(parts: Iterable[Verdict]) -> Verdict:
    found = list(parts)
    return False if False in found else None if None in found else True


def _not(part: Verdict) -> Verdict:
    return None if part is None else not part


# Policies ---


def _rule(rule: HttpRule, request: Request) -> Verdict:
    clauses = [_condition(each, request) for each in rule.conditions]
    if rule.sources:
        clauses.append(_any(_source(each, request) for each in rule.sources))
    if rule.operations:
        clauses.append(_any(_operation(each, request) for each in rule.operations))
    return _all(clauses)


def _source(source: Source, request: Request) -> Verdict:
    who = _identity(request.principal)
    namespace, domain = (who.namespace, who.trust_domain) if who else ("", "")
    name = request.principal.removeprefix("spiffe://")
    unknown = (
        *source.request_principals,
        *source.not_request_principals,
        *source.remote_ips,
        *source.not_remote_ips,
    )
    parts = [
        *_both(source.principals, source.not_principals, lambda text: text.holds(name)),
        *_both(source.namespaces, source.not_namespaces, lambda text: text.holds(namespace)),
        *_both(source.accounts, source.not_accounts, lambda each: _account(each, who)),
        *_both(source.trust_domains, source.not_trust_domains, lambda text: text.holds(domain)),
        *_both(source.ips, source.not_ips, lambda each: _inside(request.source, each)),
    ]
    return _all([*parts, None] if unknown else parts)


def _operation(operation: Operation, request: Request) -> Verdict:
    host, method = request.host.lower(), request.method.upper()
    parts = [
        *_both(operation.hosts, operation.not_hosts, lambda text: _folded(text, host)),
        *_both(operation.methods, operation.not_methods, lambda text: text.holds(method)),
        *_both(operation.paths, operation.not_paths, lambda text: _path_text(text, request.bare_path)),
        *_both(operation.ports, operation.not_ports, lambda port: port == request.port),
    ]
    return _all(parts)


def _condition(condition: Condition, request: Request) -> Verdict:
    who = _identity(request.principal)
    match condition.attribute:
        case "header":
            value = request.header(condition.name)
            parts = _both(condition.texts, condition.not_texts, lambda t: value is not None and t.holds(value))
        case "header.item":
            items = (request.header(condition.name) or "").split(",")
            parts = _both(condition.texts, condition.not_texts, lambda text: any(map(text.holds, items)))
        case "source.principal":
            name = request.principal.removeprefix("spiffe://")
            parts = _both(condition.texts, condition.not_texts, lambda text: text.holds(name))
        case "source.namespace":
            namespace = who.namespace if who else ""
            parts = _both(condition.texts, condition.not_texts, lambda text: text.holds(namespace))
        case "source.trust_domain":
            domain = who.trust_domain if who else ""
            parts = _both(condition.texts, condition.not_texts, lambda text: text.holds(domain))
        case "source.account":
            parts = _both(condition.accounts, condition.not_accounts, lambda each: _account(each, who))
        case "source.ip":
            parts = _both(condition.ranges, condition.not_ranges, lambda each: _inside(request.source, each))
        case "destination.port":
            parts = _both(condition.ports, condition.not_ports, lambda port: port == request.port)
        case _:
            return None  # tokens, the original client, server names, filters: not said by who asks
    return _all(parts)


def _both(wanted: tuple[T, ...], unwanted: tuple[T, ...], holds: Callable[[T], Verdict]) -> list[Verdict]:
    found = [_any(map(holds, wanted))] if wanted else []
    return [*found, _not(_any(map(holds, unwanted)))] if unwanted else found


def _identity(principal: str) -> spiffe.SpiffeId | None:
    try:
        return spiffe.parse(principal)
    except ValueError:
        return None


def _account(account: Account, who: spiffe.SpiffeId | None) -> bool:
    return who is not None and (who.namespace, who.service_account) == (account.namespace, account.name)


def _inside(address: str, block: Range) -> Verdict:
    return ip_address(address) in ip_network(f"{block.address}/{block.length}", strict=False) if address else None


def _folded(text: Text, value: str) -> bool:
    return Text(text.how, text.value.lower()).holds(value)


def _path_text(text: PathText, path: str) -> bool:
    if text.how != "template":
        return Text(text.how, text.value).holds(path)
    pattern = re.escape(text.value).replace(re.escape("{**}"), ".*").replace(re.escape("{*}"), "[^/]+")
    return re.fullmatch(pattern, path) is not None


# Routes ---


def _match(match: Match, request: Request) -> Verdict:
    parts: list[Verdict] = [match.port in (0, request.port)]
    if match.path is not None:
        parts.append(_path(match.path, request.bare_path))
    if match.method is not None:
        parts.append(_text(match.method, request.method.upper()))
    if match.authority is not None:
        parts.append(_text(match.authority, request.host))
    for field in match.headers:
        value = request.header(field.name)
        holds = value is not None and _text(field.value, value)
        parts.append(holds != field.negated)
    if match.query or match.claims or match.scheme is not None or match.grpc or match.source_namespace:
        parts.append(None)
    return _all(parts)


def _path(match: PathMatch, path: str) -> bool:
    wanted, given = (match.value.lower(), path.lower()) if match.ignore_case else (match.value, path)
    match match.how:
        case "exact":
            return given == wanted
        case "prefix":
            return given.startswith(wanted)
        case "segments":
            return given == wanted.rstrip("/") or given.startswith(wanted.rstrip("/") + "/")
        case _:
            return _regex(wanted, given)


def _text(match: TextMatch, value: str) -> bool:
    wanted, given = (match.value.lower(), value.lower()) if match.ignore_case else (match.value, value)
    match match.how:
        case "exact":
            return given == wanted
        case "prefix":
            return given.startswith(wanted)
        case "suffix":
            return given.endswith(wanted)
        case "contains":
            return wanted in given
        case "present":
            return True
        case _:
            return _regex(wanted, given)


def _regex(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return False  # RE2 knows some that Python does not; nothing is claimed of it
