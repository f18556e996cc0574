"""DestinationRule -> Traffic. Several rules of one namespace for one host are joined: subsets add up, the oldest leads.

What a client gets of them (its own namespace's, the service's, the root's) is decided in `views`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from plait.model import hostnames as hosts
from plait.model.attachment import Labels, labels_of
from plait.model.compile.memory import Memory
from plait.model.compile.traffic import policies
from plait.model.compile.traffic.report import CONFLICT, Report
from plait.model.compile.traffic.visibility import EVERYBODY, visible
from plait.model.mesh import Settings
from plait.model.traffic import NO_POLICY, Subset, Traffic
from plait.resources.networking.destination_rule import DestinationRule
from plait.resources.problems import Problem

KIND = "DestinationRule"
Name = tuple[str, str]
Group = tuple[str, str, Labels, tuple[str, ...]]
"""Those are joined that agree in namespace, host, clients and who sees them."""


def traffic(
    found: Mapping[Name, DestinationRule],
    settings: Settings,
    memory: Memory,
    problems: list[Problem],
    exports: tuple[str, ...] = EVERYBODY,
) -> Mapping[str, Traffic]:
    """By "ns/name" of the oldest of those that are joined."""
    read = memory.each(KIND, found, lambda _, each: _read(each, settings, exports), exports)
    groups = memory.grouped("joined-rules", read, lambda each: (_group(each.traffic),), _age)
    joined = memory.each("joined-rules", groups, lambda _, group: _joined(group))
    for wrong in memory.gathered("wrong-rules", (read, _wrong), (joined, _wrong)).values():
        problems.extend(wrong)
    return memory.gathered("rules", (joined, _its_traffic))


class _Read(NamedTuple):
    traffic: Traffic
    problems: tuple[Problem, ...] = ()


def _group(each: Traffic) -> Group:
    return each.namespace, each.host, each.selector, each.visible


def _age(each: _Read) -> tuple[str, str]:
    return each.traffic.created, each.traffic.name


def _its_traffic(_: Group, each: _Read) -> Iterator[tuple[str, Traffic]]:
    yield f"{each.traffic.namespace}/{each.traffic.name}", each.traffic


def _wrong(name: Name | Group, each: _Read) -> Iterator[tuple[str, tuple[Problem, ...]]]:
    if each.problems:
        yield repr(name), each.problems


def _read(each: DestinationRule, settings: Settings, exports: tuple[str, ...]) -> _Read:
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
    return _Read(made, report.problems)


def _joined(group: tuple[_Read, ...]) -> _Read:
    """Those of one group, the oldest first, as one. Problems are of joining them."""
    first, *rest = (each.traffic for each in group)
    if not rest:
        return _Read(first)
    problems: list[Problem] = []
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
    return _Read(msgspec.structs.replace(first, policy=policy, subsets=tuple(subsets.values())), tuple(problems))


def _shadowed(other: Traffic, first: Traffic, path: str, what: str) -> Problem:
    text = f"{what} for {other.host} has no effect: the older {first.name} says it already; join the two"
    return Problem("PLT0402", "warning", KIND, other.namespace, other.name, path, text)
