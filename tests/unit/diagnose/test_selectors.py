from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.evidence import AMBIENT, INJECTED, codes, deployment, istio, namespace, said
from plait.diagnose.selectors import dangling, for_ambient, nobody, of_gateways, same_workload, several_for_all


def telemetry(name: str, **spec: Any) -> d.Document:
    return d.document("telemetry.istio.io/v1", "Telemetry", name, spec=spec)


def match(app: str) -> d.Document:
    return {"selector": {"matchLabels": {"app": app}}}


def test_a_selector_that_no_workload_meets_is_told() -> None:
    policy = d.allow("open", [{}], spec=match("gone"))
    assert said(nobody, deployment("web"), policy) == [("IST0127", "open", "spec.selector")]
    strict = d.peers("strict", "STRICT", spec={**match("gone"), "mtls": {"mode": "STRICT"}})
    assert said(nobody, deployment("web"), strict) == [("IST0127", "strict", "spec.selector")]
    filtered = d.document("networking.istio.io/v1alpha3", "EnvoyFilter", "f")
    filtered["spec"] = {"workloadSelector": {"labels": {"app": "gone"}}}
    assert codes(nobody, deployment("web"), filtered) == [], "it waits for whoever comes"


def test_pods_templates_and_workload_entries_meet_selectors() -> None:
    policy = d.allow("open", [{}], spec=match("web"))
    entry = istio("WorkloadEntry", "vm", address="10.9.9.9", labels={"app": "web"})
    for workload in (deployment("web"), d.pod("web-1", "10.0.0.1", labels={"app": "web"}), entry):
        assert codes(nobody, policy, workload) == []
    everywhere = d.allow("open", [{}], "istio-system", spec=match("web"))
    assert codes(nobody, everywhere, deployment("web")) == [], "the root namespace selects in all"
    assert codes(nobody, d.allow("open", [{}], "other", spec=match("web")), deployment("web")) == ["IST0127"]


def test_who_is_not_in_the_mesh_does_not_count_for_a_policy() -> None:
    policy, all_of_them = d.allow("open", [{}], spec=match("web")), d.allow("wide", [{}])
    outside = namespace("shop", istio_injection="disabled")
    assert said(nobody, outside, deployment("web"), policy) == [("IST0127", "open", "spec.selector")]
    assert said(nobody, outside, deployment("web"), all_of_them) == [("IST0127", "wide", "spec")]
    for inside in (AMBIENT, INJECTED):
        assert codes(nobody, inside, deployment("web"), policy, all_of_them) == []
    captured = d.pod(
        "web-1", "10.0.0.1", labels={"app": "web"}, annotations={"ambient.istio.io/redirection": "enabled"}
    )
    assert codes(nobody, outside, captured, policy) == []
    assert codes(nobody, namespace("shop"), deployment("web"), policy) == [], "it says nothing yet"
    assert codes(nobody, d.allow("mesh", [{}], "istio-system")) == []
    targeted = d.allow("wide", [{}], spec={"targetRefs": [{"kind": "Service", "group": "", "name": "web"}]})
    assert codes(nobody, targeted) == []


def test_a_sidecar_or_telemetry_for_nobody_of_its_namespace_refers_to_nothing() -> None:
    chosen = istio("Sidecar", "s", workloadSelector={"labels": {"app": "web"}})
    elsewhere = {**deployment("web"), "metadata": {"name": "web", "namespace": "other"}}
    assert said(dangling, elsewhere, chosen) == [("IST0101", "s", "spec.workloadSelector")]
    assert said(dangling, elsewhere, telemetry("t", **match("web"))) == [("IST0101", "t", "spec.selector")]
    assert codes(dangling, deployment("web"), chosen, telemetry("t", **match("web")), telemetry("all")) == []


def test_a_selector_of_a_gateway_s_proxies_is_told() -> None:
    proxy = d.pod("edge-1", "10.0.0.1", labels={"gateway.networking.k8s.io/gateway-name": "edge", "app": "edge"})
    assert said(of_gateways, proxy, d.allow("open", [{}], spec=match("edge"))) == [("IST0166", "open", "spec.selector")]
    assert codes(of_gateways, proxy, telemetry("t", **match("edge")), telemetry("u", **match("web"))) == ["IST0166"]
    assert codes(of_gateways, proxy, d.allow("open", [{}], "other", spec=match("edge"))) == []


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


def test_two_sidecars_for_a_whole_namespace_are_told() -> None:
    pair = istio("Sidecar", "a"), istio("Sidecar", "b")
    assert said(several_for_all, *pair) == [("IST0111", "a", "spec"), ("IST0111", "b", "spec")]
    assert codes(several_for_all, pair[0], istio("Sidecar", "b", "other")) == []


def test_a_sidecar_scope_for_ambient_workloads_is_told() -> None:
    wide, chosen = istio("Sidecar", "wide"), istio("Sidecar", "one", workloadSelector={"labels": {"app": "web"}})
    assert said(for_ambient, AMBIENT, wide) == [("IST0167", "wide", "spec")]
    assert codes(for_ambient, AMBIENT, deployment("web"), chosen) == ["IST0167"]
    assert codes(for_ambient, deployment("web"), wide, chosen) == []
    both = namespace("shop", istio_injection="enabled")
    both["metadata"]["labels"]["istio.io/dataplane-mode"] = "ambient"
    assert codes(for_ambient, both, wide) == [], "sidecars win"
