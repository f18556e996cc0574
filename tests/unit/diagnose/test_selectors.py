from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.evidence import AMBIENT, codes, deployment, istio, said
from plait.diagnose.selectors import for_ambient, nobody, same_workload, several_for_all


def telemetry(name: str, **spec: Any) -> d.Document:
    return d.document("telemetry.istio.io/v1", "Telemetry", name, spec=spec)


def match(app: str) -> d.Document:
    return {"selector": {"matchLabels": {"app": app}}}


def test_a_selector_that_no_workload_meets_is_told() -> None:
    policy = d.allow("open", [{}], spec=match("gone"))
    assert said(nobody, deployment("web"), policy) == [("IST0127", "open", "spec.selector")]
    filtered = d.document("networking.istio.io/v1alpha3", "EnvoyFilter", "f")
    filtered["spec"] = {"workloadSelector": {"labels": {"app": "gone"}}}
    assert said(nobody, deployment("web"), filtered) == [("IST0127", "f", "spec.workloadSelector")]


def test_pods_templates_and_workload_entries_meet_selectors() -> None:
    policy = d.allow("open", [{}], spec=match("web"))
    entry = istio("WorkloadEntry", "vm", address="10.9.9.9", labels={"app": "web"})
    for workload in (deployment("web"), d.pod("web-1", "10.0.0.1", labels={"app": "web"}), entry):
        assert codes(nobody, policy, workload) == []
    everywhere = d.allow("open", [{}], "istio-system", spec=match("web"))
    assert codes(nobody, everywhere, deployment("web")) == [], "the root namespace selects in all"
    assert codes(nobody, d.allow("open", [{}], "other", spec=match("web")), deployment("web")) == ["IST0127"]


def test_two_sidecars_or_telemetries_for_one_workload_are_told() -> None:
    chosen = {"workloadSelector": {"labels": {"app": "web"}}}
    pair = [istio("Sidecar", name, **chosen) for name in ("a", "b")]
    assert codes(same_workload, deployment("web"), *pair) == ["IST0110", "IST0110"]
    assert codes(same_workload, deployment("web"), pair[0]) == []
    assert codes(same_workload, deployment("web"), *(telemetry(n, **match("web")) for n in "ab")) == ["IST0159"] * 2
    other = istio("Sidecar", "c", workloadSelector={"labels": {"app": "api"}})
    assert codes(same_workload, deployment("web"), deployment("api"), pair[0], other) == []


def test_two_telemetries_for_a_whole_namespace_are_told() -> None:
    assert codes(several_for_all, telemetry("a"), telemetry("b")) == ["IST0160", "IST0160"]
    assert codes(several_for_all, telemetry("a"), telemetry("b", **match("web"))) == []
    targeted = telemetry("b", targetRefs=[{"kind": "Service", "group": "", "name": "web"}])
    assert codes(several_for_all, telemetry("a"), targeted) == []


def test_a_sidecar_scope_for_ambient_workloads_is_told() -> None:
    wide, chosen = istio("Sidecar", "wide"), istio("Sidecar", "one", workloadSelector={"labels": {"app": "web"}})
    assert said(for_ambient, AMBIENT, wide) == [("IST0167", "wide", "spec")]
    assert codes(for_ambient, AMBIENT, deployment("web"), chosen) == ["IST0167"]
    assert codes(for_ambient, deployment("web"), wide, chosen) == []
