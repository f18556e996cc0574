from __future__ import annotations

from kit import documents as d
from kit.evidence import codes, said
from plait.diagnose.conditions import negative


def condition(kind: str, status: str) -> d.Document:
    return {"type": kind, "status": status, "reason": "R", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}


def route(status: str) -> d.Document:
    parent = {"name": "edge"}
    told = {"parentRef": parent, "controllerName": "a.b/c", "conditions": [condition("ResolvedRefs", status)]}
    document = d.document("gateway.networking.k8s.io/v1", "HTTPRoute", "r", spec={"parentRefs": [parent]})
    return {**document, "status": {"parents": [told]}}


def test_what_controllers_refuse_is_told() -> None:
    assert said(negative, route("False")) == [("IST0171", "r", "status.parents[0].conditions[0]")]
    bound = d.service("web", "10.96.0.1", status={"conditions": [condition("istio.io/WaypointBound", "False")]})
    assert said(negative, bound) == [("IST0171", "web", "status.conditions[0]")]


def test_a_policy_s_conditions_are_known_with_and_without_istio_s_domain() -> None:
    for name in ("ZtunnelAccepted", "istio.io/ZtunnelAccepted", "istio.io/WaypointAccepted"):
        policy = d.allow("open", [{}], status={"conditions": [condition(name, "False")]})
        assert codes(negative, policy) == ["IST0171"], name


def test_good_and_foreign_conditions_are_not() -> None:
    assert codes(negative, route("True")) == []
    foreign = d.service("web", "10.96.0.1", status={"conditions": [condition("example.com/Audited", "False")]})
    assert codes(negative, foreign) == []
