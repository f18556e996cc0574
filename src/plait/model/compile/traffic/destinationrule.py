"""DestinationRule -> Traffic. Several rules of one namespace for one host are joined: subsets add up, the oldest leads.

What a client gets of them (its own namespace's, the service's, the root's) is decided in `views`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import msgspec

from plait.model import hostnames as hosts
from plait.model.attachment import labels_of
from plait.model.compile.memory import Memory
from plait.model.compile.traffic import policies
from plait.model.compile.traffic.report import CONFLICT, Report
from plait.model.compile.traffic.visibility import EVERYBODY, visible
from plait.model.mesh import Settings
from plait.model.traffic import NO_POLICY, Subset, Traffic
from plait.resources.networking.destination_rule import DestinationRule
from plait.resources.problems import Problem

KIND = "DestinationRule"


def traffic(
    found: Iterable[DestinationRule],
    settings: Settings,
    memory: Memory,
    problems: list[Problem],
    exports: tuple[str, ...] = EVERYBODY,
) -> Iterator[Traffic]:
    groups: dict[tuple[object, ...], list[Traffic]] = {}
    for each in found:
        make = partial(_traffic, each, settings, exports)
        made, said = memory.made(("destinationrule", each.ident), each, make, exports)
        problems.extend(said)
        groups.setdefault((made.namespace, made.host, made.selector, made.visible), []).append(made)
    for group in groups.values():
        yield _joined(group, problems) if len(group) > 1 else group[0]


def _traffic(
    each: DestinationRule, settings: Settings, exports: tuple[str, ...]
) -> tuple[Traffic, tuple[Problem, ...]]:
    report = Report(KIND, each.namespace, each.name)
    spec = each.spec
    subsets: dict[str, Subset] = {}
    for number, subset in enumerate(spec.subsets):
        path = f"spec.subsets[{number}]"
        if subset.name in subsets:
            report.error(CONFLICT, f"{path}.name", f"subset {subset.name} is given twice; the first counts, remove one")
            continue
        policy = policies.policy(subset.traffic_policy, f"{path}.trafficPolicy", report)
        subsets[subset.name] = Subset(subset.name, labels_of(subset.labels), policy)
    made = Traffic(
        namespace=each.namespace,
        name=each.name,
        host=hosts.full(spec.host, each.namespace, settings),
        policy=policies.policy(spec.traffic_policy, "spec.trafficPolicy", report),
        subsets=tuple(subsets.values()),
        visible=visible(spec.export_to, each.namespace, exports),
        selector=labels_of(spec.workload_selector.match_labels) if spec.workload_selector is not None else (),
        created=each.meta.creation_timestamp or "",
    )
    return made, report.problems


def _joined(group: list[Traffic], problems: list[Problem]) -> Traffic:
    first, *rest = sorted(group, key=lambda t: (t.created, t.name))
    subsets = {subset.name: subset for subset in first.subsets}
    policy = first.policy
    for other in rest:
        if policy == NO_POLICY:
            policy = other.policy
        elif other.policy != NO_POLICY:
            problems.append(_shadowed(other, first, "spec.trafficPolicy", "its traffic policy"))
        for subset in other.subsets:
            if subsets.setdefault(subset.name, subset) is not subset:
                problems.append(_shadowed(other, first, "spec.subsets", f"subset {subset.name}"))
    return msgspec.structs.replace(first, policy=policy, subsets=tuple(subsets.values()))


def _shadowed(other: Traffic, first: Traffic, path: str, what: str) -> Problem:
    text = f"{what} for {other.host} has no effect: the older {first.name} says it already; join the two"
    return Problem("PLT0402", "warning", KIND, other.namespace, other.name, path, text)
