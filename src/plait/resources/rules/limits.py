"""Rules of LimitPolicy: what its schema cannot say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from plait.resources import durations
from plait.resources.limits import LimitPolicy, RequestMatch, SharedRateLimit
from plait.resources.rules import headers, words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_HEADER = re.compile(r":?[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LEAST_REFILL = 0.05  # seconds: Envoy refills a bucket no oftener


def policy(each: LimitPolicy) -> Iterator[Finding]:
    spec = each.spec
    sections = (spec.rate_limits, spec.shared_rate_limit, spec.circuit_breaker, spec.adaptive_concurrency)
    if not any((*sections, spec.connections)):
        yield bad("spec", "nothing is limited; give rateLimits, connections or another section")
    yield from words.unique("spec.rateLimits", [limit.name for limit in spec.rate_limits], "name")
    for number, limit in enumerate(spec.rate_limits):
        path = f"spec.rateLimits[{number}]"
        yield from _matches(path, limit.match)
        yield from _refill(f"{path}.per", limit.per)
        if limit.burst is not None and limit.burst < limit.requests:
            yield bad(f"{path}.burst", f"{limit.burst} is less than the {limit.requests} requests; write at least that")
        for place, one in enumerate(limit.by):
            yield from words.exactly_one(
                f"{path}.by[{place}]", {"header": one.header, "clientAddress": one.client_address}
            )
            yield from _header(f"{path}.by[{place}].header", one.header)
        yield from _refusal(path, limit.refusal)
    if spec.shared_rate_limit is not None:
        yield from _shared("spec.sharedRateLimit", spec.shared_rate_limit)
    if spec.circuit_breaker is not None and not _given(spec.circuit_breaker):
        yield bad("spec.circuitBreaker", "no threshold is given; add one")
    if spec.adaptive_concurrency is not None:
        path, found = "spec.adaptiveConcurrency", spec.adaptive_concurrency
        yield from words.positive(f"{path}.updateInterval", found.update_interval)
        yield from _refill(f"{path}.baselineInterval", found.baseline_interval)
        if found.min_concurrency > found.max_concurrency:
            yield bad(f"{path}.minConcurrency", "it is more than maxConcurrency; write less")
    if spec.connections is not None:
        if not _given(spec.connections):
            yield bad("spec.connections", "neither max nor rate is given; add one")
        if spec.connections.rate is not None:
            yield from _refill("spec.connections.rate.per", spec.connections.rate.per)


def _given(section: Any) -> bool:
    return any(getattr(section, name) is not None for name in section.__struct_fields__)


def _shared(path: str, found: SharedRateLimit) -> Iterator[Finding]:
    yield from words.positive(f"{path}.timeout", found.timeout)
    for number, limit in enumerate(found.limits):
        yield from _matches(f"{path}.limits[{number}]", limit.match)
        if limit.match and not any(entry.value for entry in limit.descriptor):
            text = "an entry with a value is needed, which stands for the match; add one"
            yield bad(f"{path}.limits[{number}].descriptor", text)
        for place, entry in enumerate(limit.descriptor):
            own = f"{path}.limits[{number}].descriptor[{place}]"
            given = {"value": entry.value, "header": entry.header, "clientAddress": entry.client_address}
            yield from words.exactly_one(own, given)
            yield from _header(f"{own}.header", entry.header)
    yield from _refusal(path, found.refusal)


def _matches(path: str, matches: tuple[RequestMatch, ...]) -> Iterator[Finding]:
    for number, match in enumerate(matches):
        own = f"{path}.match[{number}]"
        if match.path is None and not match.methods and not match.headers:
            yield bad(own, "the match is empty; give it a field or remove it")
        yield from words.string_match(f"{own}.path", match.path)
        for name, test in match.headers.items():
            yield from _header(f"{own}.headers.{name}", name)
            yield from words.string_match(f"{own}.headers.{name}", test)


def _refill(path: str, value: str) -> Iterator[Finding]:
    number = durations.seconds(value)
    if number is not None and number < _LEAST_REFILL:
        yield bad(path, f"{value} is shorter than 50ms; write a longer duration")


def _refusal(path: str, refusal: Any) -> Iterator[Finding]:
    for name, value in refusal.headers.items() if refusal is not None else ():
        yield from headers.of_response(f"{path}.refusal.headers.{name}", name, value)


def _header(path: str, name: str | None) -> Iterator[Finding]:
    if name is not None and not _HEADER.fullmatch(name):
        yield bad(path, f"{name!r} is no header name; mend it")
