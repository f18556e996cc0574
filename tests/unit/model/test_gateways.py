"""Names are Istio's, so what people wrote about its gateways keeps working."""

from __future__ import annotations

from plait.model.gateways import Names, names


def test_a_waypoint_has_the_name_of_its_gateway_and_others_add_their_class() -> None:
    assert names("w", "istio-waypoint", True, {}) == Names("w", "w")
    assert names("edge", "istio", False, {}) == Names("edge-istio", "edge-istio")


def test_annotations_have_the_last_word() -> None:
    assert names("edge", "istio", False, {"gateway.istio.io/name-override": "door"}) == Names("door", "door")
    account = {"gateway.istio.io/service-account": "porter"}
    assert names("edge", "istio", False, account) == Names("edge-istio", "porter")
