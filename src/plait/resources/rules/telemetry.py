"""Rules of Telemetry: tags of metrics and of spans, filters of access logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plait.base import expressions
from plait.resources.rules import targets, words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding


def telemetry(each: Any) -> Iterator[Finding]:
    yield from targets.targets(each)
    for index, metrics in enumerate(each.spec.metrics):
        yield from words.positive(f"spec.metrics[{index}].reportingInterval", metrics.reporting_interval)
        for number, override in enumerate(metrics.overrides):
            path = f"spec.metrics[{index}].overrides[{number}].tagOverrides"
            for name, tag in override.tag_overrides.items():
                yield from _tag(path, name, tag)
    for index, tracing in enumerate(each.spec.tracing):
        for name, custom in tracing.custom_tags.items():
            path = f"spec.tracing[{index}].customTags[{name}]"
            if not name:
                yield bad(path, "the tag has no name; give it one")
            given = {field: getattr(custom, field) is not None for field in custom.__struct_fields__}
            yield from words.exactly_one(path, given, none_is_fine=True)
            if custom.formatter is not None:
                yield from words.format_string(f"{path}.formatter.value", custom.formatter.value)
    for index, logging in enumerate(each.spec.access_logging):
        text = logging.filter.expression if logging.filter is not None else ""
        if text and (why := expressions.refused(text)):
            yield bad(f"spec.accessLogging[{index}].filter.expression", f"{why}; mend the expression")


def _tag(path: str, name: str, tag: Any) -> Iterator[Finding]:
    if not name:
        yield bad(path, "a tag has no name; give it one")
    if tag.operation == "UPSERT" and not tag.value:
        yield bad(f"{path}[{name}].value", "UPSERT needs the value the tag gets; add it")
    if tag.operation == "REMOVE" and tag.value:
        yield bad(f"{path}[{name}].value", "REMOVE takes no value; remove it")
    elif tag.value and (why := expressions.refused_tag(tag.value)):
        yield bad(f"{path}[{name}].value", f"{why}; mend the expression")
