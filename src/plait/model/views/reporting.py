"""Telemetry, merged as Istio merges it: the mesh's word, over it the namespace's, over it the workload's.

Of each level one object counts, the oldest. Of tracing each field is inherited on its own. An entry of a log or metric
without providers is about those of the level above it; a level that names providers replaces the choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

from msgspec import structs

from plait.model.http_telemetry import Logging, Metrics, TelemetryPolicy, Tracing
from plait.model.l7 import L7
from plait.model.views.enforced import Telemetry

_SIDES: Final[tuple[Literal["client", "server"], ...]] = ("client", "server")


def merged(l7: L7, policies: Iterable[TelemetryPolicy]) -> Telemetry:
    """`policies` bind one proxy (or what it serves), in any order."""
    settings = l7.settings
    levels: dict[int, TelemetryPolicy] = {}
    for policy in sorted(policies, key=_order):
        levels.setdefault(_level(policy), policy)
    found = tuple(levels.values())
    tracing = tuple(_tracing(found))
    said = [each for policy in found for each in policy.metrics]
    counting = next((each.sinks for each in reversed(said) if each.sinks), settings.metrics_sinks)
    metrics = tuple(_metrics(said, settings.metrics_sinks, counting))
    standing = settings.logging_sinks or (("",) if settings.access_log_file else ())
    logging = tuple(_logging([policy.logging for policy in found if policy.logging], standing))
    names: Iterable[str] = (
        *(name for each in tracing for name in each.sinks),
        *counting,
        *(name for each in logging for name in each.sinks),
        *settings.tracing_sinks,
        *settings.logging_sinks,
    )
    sinks = tuple(l7.sinks[name] for name in dict.fromkeys(names) if name in l7.sinks)
    return Telemetry(tracing, metrics, logging, sinks)


def _metrics(said: Iterable[Metrics], standing: tuple[str, ...], counting: tuple[str, ...]) -> Iterator[Metrics]:
    """What is changed for the providers that count in the end; changes for others have no effect."""
    inherited = standing
    for each in said:
        inherited = each.sinks or inherited
        if names := tuple(name for name in inherited if name in counting):
            yield Metrics(names, each.changes)


def _tracing(found: Iterable[TelemetryPolicy]) -> Iterator[Tracing]:
    """One for each side that anything is said of."""
    said = [each for policy in found for each in policy.tracing]
    for side in _SIDES:
        ours = [each for each in said if each.side in (side, "both")]
        if ours:
            yield structs.replace(_overlaid(ours), side=side)


def _overlaid(ours: Sequence[Tracing]) -> Tracing:
    base = ours[0]
    for over in ours[1:]:
        base = Tracing(
            sinks=over.sinks or base.sinks,
            sampling=base.sampling if over.sampling is None else over.sampling,
            disabled=base.disabled if over.disabled is None else over.disabled,
            tags=over.tags or base.tags,
            by_request_id=base.by_request_id if over.by_request_id is None else over.by_request_id,
            istio_tags=base.istio_tags if over.istio_tags is None else over.istio_tags,
            propagate=base.propagate if over.propagate is None else over.propagate,
        )
    return base


def _logging(levels: Sequence[tuple[Logging, ...]], standing: tuple[str, ...]) -> Iterator[Logging]:
    """An entry for each provider that a side logs to; one that is disabled where it logs to none though asked."""
    chosen = standing
    for level in levels:
        chosen = tuple(name for each in level for name in each.sinks) or chosen
    for side in _SIDES if levels else ():
        kept: dict[str, Logging] = {}
        inherited = standing
        for each in (each for level in levels for each in level):
            inherited = each.sinks or inherited
            if each.side not in (side, "both"):
                continue
            for name in inherited:
                if each.disabled:
                    kept.pop(name, None)
                elif name in chosen:
                    kept[name] = Logging(side, (name,), None, each.expression)
        yield from kept.values() or [Logging(side, disabled=True)]


def _level(policy: TelemetryPolicy) -> int:
    attachment = policy.attachment
    exact = bool(attachment.targets or attachment.selector)
    return 2 if exact else 0 if attachment.everywhere else 1


def _order(policy: TelemetryPolicy) -> tuple[int, str, str]:
    return _level(policy), policy.created, policy.name
