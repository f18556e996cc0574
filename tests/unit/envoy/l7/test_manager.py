"""Connections are shared out by weight, and the share of what leads nowhere is refused."""

from __future__ import annotations

from typing import Any

from kit import l7
from plait.envoy.l7 import manager, points
from plait.envoy.l7.context import Context
from plait.envoy.l7.duty import Duty
from plait.envoy.l7.options import DEFAULT
from plait.model.routes import Destination
from plait.model.views.enforced import Enforced

CART = l7.upstream("cart")


def proxied(*destinations: Destination) -> dict[str, Any]:
    proxy = l7.proxy("gateway", "edge")
    ctx = Context(proxy, l7.SETTINGS, DEFAULT, {CART.key: CART})
    (*_, found) = manager.tcp(ctx, "tcp", Duty(points.outgoing(proxy), Enforced()), destinations)
    return {name: found["typed_config"].get(name) for name in ("cluster", "weighted_clusters")}


def to(weight: int, broken: str = "") -> Destination:
    hostname, port, subset = CART.key
    return Destination(hostname, port, subset, weight, broken=broken)


def test_the_share_of_a_destination_that_leads_nowhere_is_refused() -> None:
    good = proxied(to(1))["cluster"]
    assert proxied(to(20), to(80, "gone"))["weighted_clusters"] == {
        "clusters": [{"name": good, "weight": 20}, {"name": "BlackHoleCluster", "weight": 80}]
    }
    assert proxied(to(1, "gone"))["cluster"] == "BlackHoleCluster"
    assert proxied(to(1), to(0, "gone"))["cluster"] == good
