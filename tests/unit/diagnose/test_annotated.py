from __future__ import annotations

from kit import documents as d
from kit.evidence import codes, deployment, said
from plait.diagnose.annotated import wrong


def pod(**annotations: str) -> d.Document:
    found = d.pod("web", "10.0.0.1", captured=False)
    found["metadata"]["annotations"] = annotations
    return found


def test_unknown_annotations_of_istio_are_told() -> None:
    assert said(wrong, pod(**{"sidecar.istio.io/proxyCpu": "1"})) == [
        ("IST0108", "web", "metadata.annotations[sidecar.istio.io/proxyCpu]")
    ]
    assert codes(wrong, pod(**{"example.com/anything": "1", "internal.istio.io/x": "y"})) == []


def test_misplaced_annotations_are_told() -> None:
    service = d.service("web", "10.96.0.1", annotations={"sidecar.istio.io/proxyCPU": "1"})
    assert codes(wrong, service) == ["IST0107"]
    assert codes(wrong, pod(**{"sidecar.istio.io/proxyCPU": "100m"})) == []


def test_a_template_s_annotations_are_a_pod_s() -> None:
    assert codes(wrong, deployment("web", annotations={"sidecar.istio.io/proxyCPU": "1"})) == []
    assert said(wrong, deployment("web", annotations={"sidecar.istio.io/proxyCPU": "much"})) == [
        ("IST0125", "web", "spec.template.metadata.annotations[sidecar.istio.io/proxyCPU]")
    ]
    outside = deployment("web")
    outside["metadata"]["annotations"] = {"sidecar.istio.io/proxyCPU": "1"}
    assert codes(wrong, outside) == ["IST0107"]
    outside["metadata"]["annotations"] = {"sidecar.istio.io/statsInclusionPrefixes": "a"}
    assert codes(wrong, outside) == ["IST0107", "IST0135"]


def test_the_ingress_class_is_for_ingresses() -> None:
    assert codes(wrong, pod(**{"kubernetes.io/ingress.class": "istio", "kubernetes.io/psp": "x"})) == ["IST0107"]


def test_values_are_checked() -> None:
    traffic = "traffic.sidecar.istio.io/"
    for name, bad, good in (
        (f"{traffic}excludeInboundPorts", "80,http", "80,443"),
        (f"{traffic}includeInboundPorts", "0", "*"),
        (f"{traffic}includeOutboundIPRanges", "10.0.0.0/40", "10.0.0.0/8,192.168.0.0/16"),
        ("sidecar.istio.io/interceptionMode", "MAGIC", "TPROXY"),
        ("sidecar.istio.io/rewriteAppHTTPProbers", "yes", "true"),
        ("readiness.status.sidecar.istio.io/periodSeconds", "2s", "2"),
    ):
        assert codes(wrong, pod(**{name: bad})) == ["IST0125"], name
        assert codes(wrong, pod(**{name: good})) == [], name


def test_deprecated_and_alpha_ones_are_told() -> None:
    assert codes(wrong, pod(**{"sidecar.istio.io/inject": "true"})) == ["IST0135"]
    replaced = pod(**{"sidecar.istio.io/inject": "true"})
    replaced["metadata"]["labels"] = {"sidecar.istio.io/inject": "true"}
    assert codes(wrong, replaced) == [], "the label that took its place is there too"
    policy = d.allow("open", [{}], annotations={"istio.io/dry-run": "true"})
    assert codes(wrong, policy) == ["IST0136"]
