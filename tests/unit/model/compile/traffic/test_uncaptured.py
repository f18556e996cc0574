from __future__ import annotations

from kit import documents as d
from kit import worlds as w

NOTES = {"sidecar.istio.io/status": "{}", "sidecar.istio.io/interceptionMode": "NONE"}
POD = d.pod("web", "10.0.0.1", labels={"app": "web"}, captured=False, annotations=NOTES)
INGRESS = [{"port": {"number": 9080, "name": "http", "protocol": "HTTP"}, "defaultEndpoint": "127.0.0.1:8080"}]


def told(*more: d.Document) -> list[tuple[str, str, str]]:
    _, problems = w.world(POD, *more)
    return [(each.code, each.kind, each.name) for each in problems]


def test_a_pod_whose_application_anybody_may_reach_is_named() -> None:
    assert told() == [("PLT0412", "Pod", "web")]
    other = w.istio("Sidecar", "other", workloadSelector={"labels": {"app": "other"}}, ingress=INGRESS)
    assert told(other, w.istio("Sidecar", "all", "elsewhere", ingress=INGRESS)) == [("PLT0412", "Pod", "web")]


def test_not_where_a_sidecar_says_how_it_is_reached() -> None:
    assert told(w.istio("Sidecar", "web", workloadSelector={"labels": {"app": "web"}}, ingress=INGRESS)) == []


def test_nor_of_pods_that_are_captured() -> None:
    assert w.world(w.sidecar_pod("web", "10.0.0.1"), d.pod("calm", "10.0.0.2"))[1] == ()
