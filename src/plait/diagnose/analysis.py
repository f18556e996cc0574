"""analyze(evidence) -> problems: all analyzers in one list, and what people asked not to hear. No IO."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from plait.base.wellknown import SUPPRESS
from plait.diagnose import (
    annotated,
    authorization,
    bindings,
    conditions,
    deprecated,
    destination_rules,
    destinations,
    envoy_filters,
    gateways,
    images,
    namespaces,
    pods,
    selectors,
    service_entries,
    services,
    telemetries,
    virtual_services,
    webhooks,
)
from plait.diagnose.evidence import Evidence
from plait.resources.problems import Problem, ordered

Analyzer = Callable[[Evidence], Iterator[Problem]]

ANALYZERS: tuple[Analyzer, ...] = (
    namespaces.outside,
    namespaces.at_odds,
    images.outdated,
    pods.without_proxy,
    pods.reserved_user,
    pods.reserved_ports,
    pods.both_modes,
    pods.image_auto,
    annotated.wrong,
    selectors.nobody,
    selectors.dangling,
    selectors.same_workload,
    selectors.several_for_all,
    selectors.for_ambient,
    selectors.of_gateways,
    authorization.unknown_namespaces,
    services.unnamed_protocols,
    services.external_names,
    services.reserved_ports,
    services.one_port_two_protocols,
    services.one_target_two_ports,
    destinations.dangling,
    destinations.ambiguous_ports,
    destinations.bypassed_subsets,
    bindings.gateways,
    bindings.rivals,
    bindings.claims_unverified,
    virtual_services.unreachable,
    destination_rules.unverified,
    destination_rules.unknown_hosts,
    destination_rules.empty_subsets,
    service_entries.without_address,
    service_entries.protocols_at_odds,
    gateways.unserved,
    gateways.credentials,
    gateways.conflicting,
    gateways.shared_certificate,
    gateways.unexposed_port,
    envoy_filters.operations,
    envoy_filters.values,
    telemetries.without_provider,
    webhooks.missing_service,
    webhooks.overlapping,
    webhooks.external_control_plane,
    deprecated.fields,
    deprecated.providers,
    conditions.negative,
)
_WHOLLY = frozenset({"IST0109", "IST0111", "IST0132"})
_REFERENCES = {"VirtualService": ("spec.http", "spec.tls", "spec.tcp", "spec.gateways"), "Gateway": ("spec.se",)}


def told_by_analyzers(problem: Problem) -> bool:
    """Whether compile's word is one of those that analyzers say of every object concerned, also of refused ones.
    (Delegates only compile follows.)"""
    if problem.code in _WHOLLY:
        return True
    where = problem.path.startswith(_REFERENCES.get(problem.kind, ()))
    return problem.code in ("IST0101", "IST0161") and where and not problem.path.endswith(".delegate")


def analyze(evidence: Evidence) -> Iterator[Problem]:
    for analyzer in ANALYZERS:
        yield from analyzer(evidence)


@dataclass(frozen=True, slots=True)
class Suppression:
    """Problems of one code on objects that fit; `*` and `?` stand for anything."""

    code: str
    kind: str = "*"
    name: str = "*"
    namespace: str = "*"

    def covers(self, problem: Problem) -> bool:
        wanted = self.code, self.kind, self.name, self.namespace
        found = problem.code, problem.kind, problem.name, problem.namespace
        return all(fnmatchcase(value, pattern) for value, pattern in zip(found, wanted, strict=True))


def suppression(text: str) -> Suppression:
    """`CODE`, or `CODE=Kind name.namespace` as Istio writes it. ValueError says what is wrong."""
    code, given, rest = text.partition("=")
    kind, _, name = rest.strip().partition(" ")
    if not code or (given and not (kind and name)):
        raise ValueError(f"{text!r} is no suppression; write CODE or 'CODE=Kind name.namespace', with * for anything")
    if not given:
        return Suppression(code)
    name, dot, namespace = name.strip().rpartition(".")
    return Suppression(code, kind, name, namespace) if dot else Suppression(code, kind, namespace)


def heard(
    problems: Iterable[Problem], evidence: Evidence, suppressions: Iterable[Suppression] = ()
) -> tuple[Problem, ...]:
    """Worst first, without what is suppressed here or by an annotation of the object."""
    asked = [*suppressions, *_annotated(evidence)]
    return ordered(problem for problem in problems if not any(each.covers(problem) for each in asked))


def _annotated(evidence: Evidence) -> Iterator[Suppression]:
    for each in evidence.written:
        for code in each.annotations.get(SUPPRESS, "").split(","):
            if code.strip():
                yield Suppression(code.strip(), each.kind, each.name, each.namespace)
