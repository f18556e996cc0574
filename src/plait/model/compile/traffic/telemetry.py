"""Telemetry -> TelemetryPolicy, one for one. Merging by specificity is done in `views.reporting`.

What a proxy would refuse, and all that stands beside it, is left out and said: a tag, or the filter of a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from plait.base import expressions, format_strings
from plait.model import http_telemetry as nouns
from plait.model.compile.memory import Memory
from plait.model.compile.traffic.attachments import attachment
from plait.model.compile.traffic.report import BAD_VALUE, PROVIDER, Report
from plait.model.mesh import Settings
from plait.resources import telemetry as written
from plait.resources.networking.traffic import ProviderName
from plait.resources.problems import Problem

KIND = "Telemetry"
_SIDES: dict[str, nouns.Side] = {"CLIENT": "client", "SERVER": "server", "CLIENT_AND_SERVER": "both"}


def telemetry(
    found: Iterable[written.Telemetry],
    sinks: Mapping[str, nouns.Sink],
    settings: Settings,
    memory: Memory,
    problems: list[Problem],
) -> Iterator[nouns.TelemetryPolicy]:
    known = frozenset(sinks)
    for each in found:
        made, said = memory.made(("telemetry", each.ident), each, partial(_policy, each, known, settings), known)
        problems.extend(said)
        if made is not None:
            yield made


def _policy(
    each: written.Telemetry, known: frozenset[str], settings: Settings
) -> tuple[nouns.TelemetryPolicy | None, tuple[Problem, ...]]:
    report = Report(KIND, each.namespace, each.name)
    spec = each.spec
    bound = attachment(each.namespace, spec.selector, spec.target_ref, spec.target_refs, settings, report)
    if bound is None:
        return None, report.problems

    for number, item in enumerate(spec.metrics):
        if item.reporting_interval is not None:
            path = f"spec.metrics[{number}].reportingInterval"
            report.unsupported(path, "connections are reported when they begin and end; remove it")

    def sinks(given: Iterable[ProviderName], path: str) -> tuple[str, ...]:
        names = tuple(provider.name for provider in given)
        for number, name in enumerate(names):
            if name not in known:
                text = f"provider {name!r} is not in extensionProviders of the mesh configuration; add it there"
                report.error(PROVIDER, f"{path}.providers[{number}].name", text)
        return tuple(name for name in names if name in known)

    made = nouns.TelemetryPolicy(
        name=each.name,
        namespace=each.namespace,
        attachment=bound,
        tracing=tuple(
            nouns.Tracing(
                _side(item.match),
                sinks(item.providers, f"spec.tracing[{n}]"),
                _share(item.random_sampling_percentage, f"spec.tracing[{n}].randomSamplingPercentage", report),
                item.disable_span_reporting,
                tuple(_tags(item.custom_tags, f"spec.tracing[{n}].customTags", report)),
                item.use_request_id_for_trace_sampling,
                item.enable_istio_tags,
                None if item.disable_context_propagation is None else not item.disable_context_propagation,
            )
            for n, item in enumerate(spec.tracing)
        ),
        metrics=tuple(
            nouns.Metrics(
                sinks(item.providers, f"spec.metrics[{n}]"),
                tuple(
                    _change(change, f"spec.metrics[{n}].overrides[{m}].tagOverrides", report)
                    for m, change in enumerate(item.overrides)
                ),
            )
            for n, item in enumerate(spec.metrics)
        ),
        logging=tuple(
            nouns.Logging(
                _side(item.match),
                sinks(item.providers, f"spec.accessLogging[{n}]"),
                item.disabled,
                _filter(item.filter, f"spec.accessLogging[{n}].filter.expression", report),
            )
            for n, item in enumerate(spec.access_logging)
        ),
        created=each.meta.creation_timestamp or "",
    )
    return made, report.problems


def _side(match: written.ModeMatch | None) -> nouns.Side:
    return _SIDES[match.mode] if match is not None else "both"


def _share(percent: float | None, path: str, report: Report) -> float | None:
    if percent is None or 0 <= percent <= 100:
        return percent
    report.error(BAD_VALUE, path, f"{percent} is no percentage; write one of 0 to 100")
    return min(max(percent, 0), 100)


def _filter(given: written.AccessLoggingFilter | None, path: str, report: Report) -> str:
    text = given.expression if given is not None else ""
    if text and (why := expressions.refused(text)):
        report.error(BAD_VALUE, path, f"{why}; everything is logged meanwhile, mend it")
        return ""
    return text


def _tags(given: Mapping[str, written.CustomTag], path: str, report: Report) -> Iterator[nouns.SpanTag]:
    for name, tag in sorted(given.items()):
        made = _tag(name, tag)
        if made.how == "formatter" and (why := format_strings.refused(made.value)):
            report.error(BAD_VALUE, f"{path}[{name}]", f"the tag is left out: {why}")
        elif name and (made.value or made.how == "formatter"):
            yield made
        else:
            report.error(BAD_VALUE, f"{path}[{name}]", "the tag has no name or no value; it is left out, add them")


def _tag(name: str, tag: written.CustomTag) -> nouns.SpanTag:
    if tag.literal is not None:
        return nouns.SpanTag(name, "literal", tag.literal.value)
    if tag.environment is not None:
        return nouns.SpanTag(name, "environment", tag.environment.name, tag.environment.default_value)
    if tag.header is not None:
        return nouns.SpanTag(name, "header", tag.header.name, tag.header.default_value)
    return nouns.SpanTag(name, "formatter", tag.formatter.value if tag.formatter is not None else "")


def _change(found: written.MetricsOverrides, path: str, report: Report) -> nouns.MetricChange:
    match = found.match or written.MetricSelector()
    metric = match.custom_metric or (match.metric if match.metric is not None and match.metric != "ALL_METRICS" else "")
    tags: list[nouns.TagChange] = []
    for tag, change in sorted(found.tag_overrides.items()):
        value = "" if change.operation == "REMOVE" else change.value or ""
        if why := "the tag has no name" if not tag else expressions.refused_tag(value):
            report.error(BAD_VALUE, f"{path}[{tag}]", f"{why}; this change is left out, mend it")
        else:
            tags.append(nouns.TagChange(tag, value))
    return nouns.MetricChange(metric, _SIDES[match.mode], found.disabled, tuple(tags))
