"""Selectors: do they take anybody, do two take the same, and does what they carry mean anything there?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plait.base.wellknown import GATEWAY_NAME
from plait.diagnose.evidence import Evidence, Workload
from plait.diagnose.messages import say
from plait.resources.extensions import TrafficExtension, WasmPlugin
from plait.resources.meta import Resource
from plait.resources.networking.sidecar import Sidecar
from plait.resources.problems import Problem
from plait.resources.security import AuthorizationPolicy, PeerAuthentication, RequestAuthentication
from plait.resources.telemetry import Telemetry

Labels = Mapping[str, str]
_SELECTING: tuple[type[Resource], ...] = (PeerAuthentication, RequestAuthentication, WasmPlugin, TrafficExtension)
"""Kinds (beside those below) that mean nothing when their selector takes nobody. Of those with a `workloadSelector` and
of ProxyConfig it is common, and harmless."""
_OWN: tuple[tuple[str, str, type[Any], str], ...] = (
    ("IST0110", "IST0111", Sidecar, "workload_selector"),
    ("IST0159", "IST0160", Telemetry, "selector"),
)
"""Kinds of which one counts for a workload: codes of two that select one, of two for the whole namespace."""
_ATTACHED: tuple[type[Any], ...] = (AuthorizationPolicy, RequestAuthentication, Telemetry, WasmPlugin)
_FIELDS = {"selector": "spec.selector", "workload_selector": "spec.workloadSelector"}


def nobody(evidence: Evidence) -> Iterator[Problem]:
    """Policies for no workload: nobody carries the labels, or those who do are not in the mesh."""
    for cls in _SELECTING:
        for each in evidence.all(cls):
            labels = _labels(each, "selector")
            if labels and not evidence.selected(each.namespace, labels):
                yield say("IST0127", each, _FIELDS["selector"], _nobody(labels))
    for policy in evidence.all(AuthorizationPolicy):
        labels, spec = _labels(policy, "selector"), policy.spec
        found = evidence.selected(policy.namespace, labels)
        if not all(map(evidence.left_out, found)) or spec.target_ref is not None or spec.target_refs:
            continue
        if labels and found:
            text = f"{found[0].kind} {found[0].name}, which it selects, is not in the mesh, so nobody enforces this"
            yield say("IST0127", policy, _FIELDS["selector"], f"{text}; label its namespace")
        elif labels:
            yield say("IST0127", policy, _FIELDS["selector"], _nobody(labels))
        elif policy.namespace != evidence.root:
            text = f"no workload of namespace {policy.namespace} is in the mesh, so this is about nobody"
            yield say("IST0127", policy, "spec", f"{text}; start one, or label the namespace")


def dangling(evidence: Evidence) -> Iterator[Problem]:
    """A Sidecar or Telemetry for workloads that are not in its namespace."""
    for _, _, cls, field in _OWN:
        for each in evidence.all(cls):
            labels = _labels(each, field)
            found = evidence.selected(each.namespace, labels) if cls is Telemetry else _inside(evidence, each, labels)
            if labels and not found:
                yield say("IST0101", each, _FIELDS[field], _nobody(labels))


def _nobody(labels: Labels) -> str:
    wanted = ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return f"no workload carries {wanted}, so this is about nobody; mend the labels or start the workload"


def _inside(evidence: Evidence, each: Resource, labels: Labels) -> list[Workload]:
    return [workload for workload in evidence.inside(each.namespace) if workload.carries(labels)]


def same_workload(evidence: Evidence) -> Iterator[Problem]:
    """Two Sidecars, or two Telemetries, for one workload: only one of them counts."""
    for code, _, cls, field in _OWN:
        taken: dict[tuple[str, str, str], list[Any]] = {}
        for each in evidence.all(cls):
            if labels := _labels(each, field):
                for workload in _inside(evidence, each, labels):
                    if cls is not Sidecar or not evidence.ambient(workload):
                        taken.setdefault((workload.namespace, workload.kind, workload.name), []).append(each)
        for (_, kind, name), found in taken.items():
            names = ", ".join(each.name for each in found)
            for each in found if len(found) > 1 else ():
                text = f"{names} all select {kind} {name}, and only the oldest counts; make their labels disjoint"
                yield say(code, each, _FIELDS[field], text)


def several_for_all(evidence: Evidence) -> Iterator[Problem]:
    """Telemetries, or Sidecars, of one namespace without a selector."""
    for _, code, cls, field in _OWN:
        wide: dict[str, list[Any]] = {}
        for each in evidence.all(cls):
            targets = getattr(each.spec, "target_ref", None) is not None or bool(getattr(each.spec, "target_refs", ()))
            if not _labels(each, field) and not targets:
                wide.setdefault(each.namespace, []).append(each)
        for found in wide.values():
            names = ", ".join(each.name for each in found)
            for each in found if len(found) > 1 else ():
                text = f"{names} are all for the whole namespace, and only the oldest counts; join them"
                yield say(code, each, "spec", text)


def of_gateways(evidence: Evidence) -> Iterator[Problem]:
    """Selectors for the proxies of a Gateway of the Gateway API: such policies belong to it by `targetRefs`."""
    proxies = [each for each in evidence.workloads if GATEWAY_NAME in each.labels]
    for cls in _ATTACHED:
        for each in evidence.all(cls):
            labels = _labels(each, "selector")
            if not labels or getattr(each.spec, "target_ref", None) is not None or each.spec.target_refs:
                continue
            names = {w.labels[GATEWAY_NAME] for w in proxies if w.namespace == each.namespace and w.carries(labels)}
            if names:
                text = f"it selects proxies of Gateway {', '.join(sorted(names))}, where Istio passes selectors over"
                yield say("IST0166", each, "spec.selector", f"{text}; name the Gateway in targetRefs")


def for_ambient(evidence: Evidence) -> Iterator[Problem]:
    """A Sidecar tells sidecars; workloads in ambient mode have none."""
    for each in evidence.all(Sidecar):
        labels = _labels(each, "workload_selector")
        found = _inside(evidence, each, labels)
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
