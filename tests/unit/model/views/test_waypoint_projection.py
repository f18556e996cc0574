from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds as w
from plait.model.compile import compile
from plait.model.views import waypoint_projection
from plait.model.views.waypoint import ServedService

ROOM = {"istio.io/use-waypoint": "wp"}
POD = {"gateway.networking.k8s.io/gateway-name": "wp"}
POLICY = d.allow("p", [], spec={"targetRefs": [{"kind": "Service", "name": "s0"}]})
WORLD = (
    w.waypoint("wp"),
    d.pod("wp-0", "10.0.0.99", labels=POD),
    POLICY,
    *(d.service(f"s{n}", f"10.96.0.{n + 1}", labels=ROOM) for n in range(4)),
    *(d.pod(f"s{n}-0", f"10.0.0.{n + 1}", labels={"app": f"s{n}"}) for n in range(4)),
)


@pytest.mark.parametrize(
    "edit",
    [
        w.istio("DestinationRule", "s2", host="s2", trafficPolicy={"connectionPool": {"tcp": {"maxConnections": 7}}}),
        d.pod("s2-0", "10.0.0.77", labels={"app": "s2"}),
    ],
    ids=["a rule", "an endpoint"],
)
def test_only_what_a_change_is_about_is_projected_anew(edit: d.Document, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that names a service does not alter that."""
    first = w.objects(*WORLD)
    mesh, _ = compile(first)
    view = waypoint_projection.project(mesh, w.who(mesh, "wp-0"))
    made, make = [], waypoint_projection._service

    def counted(*given: Any) -> ServedService:
        made.append(make(*given))
        return made[-1]

    monkeypatch.setattr(waypoint_projection, "_service", counted)
    mesh, _ = compile(first.with_(*w.objects(edit)), mesh)
    now = waypoint_projection.project(mesh, w.who(mesh, "wp-0"), view)
    assert [each.name for each in made] == ["s2"]
    moved = [new.hostname for old, new in zip(view.upstreams, now.upstreams, strict=True) if old is not new]
    assert moved == ["s2.shop.svc.cluster.local"]
    assert now == waypoint_projection.project(mesh, w.who(mesh, "wp-0"))
