"""Selectors: do they take anybody, do two take the same, and does what they carry mean anything there?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plait.diagnose.evidence import Evidence
from plait.diagnose.messages import say
from plait.resources.extensions import TrafficExtension, WasmPlugin
from plait.resources.meta import Resource
from plait.resources.networking.destination_rule import DestinationRule
from plait.resources.networking.envoy_filter import EnvoyFilter
from plait.resources.networking.proxy_config import ProxyConfig
from plait.resources.networking.service_entry import ServiceEntry
from plait.resources.networking.sidecar import Sidecar
from plait.resources.problems import Problem
from plait.resources.security import AuthorizationPolicy, PeerAuthentication, RequestAuthentication
from plait.resources.telemetry import Telemetry

Labels = Mapping[str, str]
_SELECTING: dict[type[Resource], str] = {
    AuthorizationPolicy: "selector",
    PeerAuthentication: "selector",
    RequestAuthentication: "selector",
    Telemetry: "selector",
    WasmPlugin: "selector",
    TrafficExtension: "selector",
    ProxyConfig: "selector",
    DestinationRule: "workload_selector",
    EnvoyFilter: "workload_selector",
    ServiceEntry: "workload_selector",
    Sidecar: "workload_selector",
}
_FIELDS = {"selector": "spec.selector", "workload_selector": "spec.workloadSelector"}


def nobody(evidence: Evidence) -> Iterator[Problem]:
    """Selectors that no workload meets."""
    for cls, field in _SELECTING.items():
        for each in evidence.all(cls):
            labels = _labels(each, field)
            if labels and not evidence.selected(each.namespace, labels):
                wanted = ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
                text = f"no workload carries {wanted}, so this is about nobody; mend the labels or start the workload"
                yield say("IST0127", each, _FIELDS[field], text)


def same_workload(evidence: Evidence) -> Iterator[Problem]:
    """Two Sidecars, or two Telemetries, for one workload: only one of them counts."""
    kinds: tuple[tuple[str, type[Resource], str], ...] = (
        ("IST0110", Sidecar, "workload_selector"),
        ("IST0159", Telemetry, "selector"),
    )
    for code, cls, field in kinds:
        taken: dict[tuple[str, str, str], list[Any]] = {}
        for each in evidence.all(cls):
            if labels := _labels(each, field):
                for workload in evidence.selected(each.namespace, labels):
                    if workload.namespace == each.namespace:
                        taken.setdefault((workload.namespace, workload.kind, workload.name), []).append(each)
        for (_, kind, name), found in taken.items():
            names = ", ".join(each.name for each in found)
            for each in found if len(found) > 1 else ():
                text = f"{names} all select {kind} {name}, and only the oldest counts; make their labels disjoint"
                yield say(code, each, _FIELDS[field], text)


def several_for_all(evidence: Evidence) -> Iterator[Problem]:
    """Telemetries of one namespace without a selector. (Sidecars: compile says so, IST0111.)"""
    wide: dict[str, list[Telemetry]] = {}
    for each in evidence.all(Telemetry):
        spec = each.spec
        if not _labels(each, "selector") and spec.target_ref is None and not spec.target_refs:
            wide.setdefault(each.namespace, []).append(each)
    for found in wide.values():
        names = ", ".join(each.name for each in found)
        for each in found if len(found) > 1 else ():
            text = f"{names} are all for the whole namespace, and only the oldest counts; join them"
            yield say("IST0160", each, "spec", text)


def for_ambient(evidence: Evidence) -> Iterator[Problem]:
    """A Sidecar tells sidecars; workloads in ambient mode have none."""
    for each in evidence.all(Sidecar):
        labels = _labels(each, "workload_selector")
        found = [w for w in evidence.selected(each.namespace, labels) if w.namespace == each.namespace]
        if labels and found and all(evidence.ambient(workload) for workload in found):
            text = "every workload it selects is in ambient mode, where it has no effect; remove it"
            yield say("IST0167", each, "spec.workloadSelector", text)
        elif not labels and evidence.ambient_space(each.namespace):
            text = "the namespace is in ambient mode, where it has no effect; remove it"
            yield say("IST0167", each, "spec", text)


def _labels(each: Any, field: str) -> Labels:
    """Both spellings of a selector."""
    selector = getattr(each.spec, field)
    if selector is None:
        return {}
    found: Labels = getattr(selector, "match_labels", None) or getattr(selector, "labels", {})
    return found
