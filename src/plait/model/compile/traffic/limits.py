"""LimitPolicy -> limits.LimitPolicy, one for one. A value nobody can read counts more requests, never fewer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from msgspec.structs import replace

from plait.model import limits as nouns
from plait.model.compile.memory import Memory
from plait.model.compile.traffic.attachments import attachment
from plait.model.compile.traffic.report import CONFLICT, MISSING_HOST, Report
from plait.model.compile.traffic.values import Unusable, seconds, text_match
from plait.model.http_services import HttpService
from plait.model.mesh import Settings
from plait.model.routes import FieldMatch, TextMatch
from plait.resources import limits as written
from plait.resources.networking.traffic import StringMatch
from plait.resources.problems import Problem


def policies(
    found: Iterable[written.LimitPolicy], settings: Settings, memory: Memory, problems: list[Problem]
) -> Iterator[nouns.LimitPolicy]:
    for each in found:
        made, said = memory.made(("limit-policy", each.ident), each, partial(_policy, each, settings))
        problems.extend(said)
        if made is not None:
            yield made


def checked(
    found: Iterable[nouns.LimitPolicy], services: Mapping[str, HttpService], problems: list[Problem]
) -> Iterator[nouns.LimitPolicy]:
    """With `broken` where the service that counts is not there. Of two that say the same the younger is told."""
    older: dict[tuple[object, str], str] = {}
    for each in sorted(found, key=lambda policy: policy.order):
        report = Report(nouns.KIND, each.namespace, each.name)
        for target in each.attachment.targets:
            for section in ("adaptive", "connections"):
                if getattr(each, section) is None:
                    continue
                first = older.setdefault((target, section), each.key)
                if first != each.key:
                    word = {"adaptive": "adaptiveConcurrency"}.get(section, section)
                    text = f"{target.kind} {target.name} has this section of LimitPolicy {first}, which is older"
                    report.say(CONFLICT, f"spec.{word}", f"{text}, so this one has no effect there; keep one of them")
        yield _asking(each, services, report)
        problems.extend(report.problems)


def _asking(each: nouns.LimitPolicy, services: Mapping[str, HttpService], report: Report) -> nouns.LimitPolicy:
    shared = each.shared
    if shared is None:
        return each
    service = services.get(f"{shared.namespace}/{shared.hostname}")
    if service is not None and service.port(shared.port) is not None:
        return each
    what = "has no such port" if service is not None else "does not exist"
    text = f"Service {shared.namespace}/{shared.hostname.partition('.')[0]} {what}"
    effect = "requests are not counted" if shared.fail_open else "requests are refused"
    path = f"spec.sharedRateLimit.service.{'port' if service is not None else 'name'}"
    report.error(MISSING_HOST, path, f"{text}; {effect} until it does")
    return replace(each, shared=replace(shared, broken=text))


def _policy(each: written.LimitPolicy, settings: Settings) -> tuple[nouns.LimitPolicy | None, tuple[Problem, ...]]:
    report = Report(nouns.KIND, each.namespace, each.name)
    spec = each.spec
    bound = attachment(each.namespace, None, None, spec.target_refs, settings, report)
    if bound is None:
        return None, report.problems
    made = nouns.LimitPolicy(
        name=each.name,
        namespace=each.namespace,
        attachment=bound,
        rates=tuple(_rate(limit, f"spec.rateLimits[{n}]", report) for n, limit in enumerate(spec.rate_limits)),
        shared=_shared(spec.shared_rate_limit, each.namespace, settings, report) if spec.shared_rate_limit else None,
        breaker=_breaker(spec.circuit_breaker) if spec.circuit_breaker is not None else None,
        adaptive=_adaptive(spec.adaptive_concurrency, report) if spec.adaptive_concurrency is not None else None,
        connections=_connections(spec.connections, report) if spec.connections is not None else None,
        created=each.meta.creation_timestamp or "",
    )
    return made, report.problems


def _rate(found: written.RateLimit, path: str, report: Report) -> nouns.RateLimit:
    every = seconds(found.per, f"{path}.per", report) or 1.0
    return nouns.RateLimit(
        found.name,
        nouns.Rate(found.requests, every, found.burst or found.requests),
        _matches(found.match, path, report),
        tuple(nouns.Entry(each.header or "client_address", header=each.header or "") for each in found.by),
        _refusal(found.refusal),
    )


def _shared(
    found: written.SharedRateLimit, namespace: str, settings: Settings, report: Report
) -> nouns.SharedRateLimit:
    path = "spec.sharedRateLimit"
    return nouns.SharedRateLimit(
        hostname=f"{found.service.name}.{namespace}.svc.{settings.cluster_domain}",
        port=found.service.port,
        domain=found.domain,
        timeout=seconds(found.timeout, f"{path}.timeout", report) or 0.1,
        limits=tuple(
            nouns.SharedLimit(
                tuple(nouns.Entry(e.key, e.value or "", e.header or "") for e in limit.descriptor),
                _matches(limit.match, f"{path}.limits[{n}]", report),
            )
            for n, limit in enumerate(found.limits)
        ),
        fail_open=found.failure_mode == "Allow",
        refusal=_refusal(found.refusal),
        namespace=namespace,
    )


def _matches(found: Iterable[written.RequestMatch], path: str, report: Report) -> tuple[nouns.Counted, ...]:
    """A test that cannot be read is left out of its match (and said), so that more is counted."""

    def test(match: StringMatch | None, own: str) -> TextMatch | None:
        try:
            return text_match(match, own, report)
        except Unusable:
            return None

    made = []
    for number, each in enumerate(found):
        own = f"{path}.match[{number}]"
        headers = (
            FieldMatch(name, test(value, f"{own}.headers.{name}") or TextMatch("present"))
            for name, value in each.headers.items()
        )
        made.append(nouns.Counted(test(each.path, f"{own}.path"), each.methods, tuple(headers)))
    return tuple(made)


def _refusal(found: written.Refusal | None) -> nouns.Refusal:
    return nouns.Refusal(found.status, tuple(found.headers.items())) if found is not None else nouns.Refusal()


def _breaker(found: written.CircuitBreaker) -> nouns.Breaker:
    return nouns.Breaker(
        found.max_connections or 0, found.max_pending_requests or 0, found.max_requests or 0, found.max_retries or 0
    )


def _adaptive(found: written.AdaptiveConcurrency, report: Report) -> nouns.Adaptive:
    path = "spec.adaptiveConcurrency"
    return nouns.Adaptive(
        percentile=found.percentile,
        update=seconds(found.update_interval, f"{path}.updateInterval", report) or 0.1,
        most=found.max_concurrency,
        least=found.min_concurrency,
        baseline=seconds(found.baseline_interval, f"{path}.baselineInterval", report) or 60.0,
        baseline_requests=found.baseline_requests,
        jitter=found.jitter,
        buffer=found.buffer,
        status=found.status,
    )


def _connections(found: written.ConnectionLimit, report: Report) -> nouns.Connections:
    rate = None
    if found.rate is not None:
        every = seconds(found.rate.per, "spec.connections.rate.per", report) or 1.0
        rate = nouns.Rate(found.rate.connections, every, found.rate.connections)
    return nouns.Connections(found.max or 0, rate)
