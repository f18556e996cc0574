from __future__ import annotations

from kit import documents as d
from kit.worlds import objects
from plait.app.gathering import Gathering
from plait.model.compile import compile
from plait.model.status import BoundStatus
from plait.resources.problems import Problem

VIRTUAL = d.document("networking.istio.io/v1", "VirtualService", "cart", spec={"hosts": ["cart"]})


def test_an_istio_object_has_a_status_and_one_that_cannot_be_read_too() -> None:
    found = objects(VIRTUAL, d.allow("open", [{}]))
    mesh, problems = compile(found)
    unread = Problem("PLT0006", "error", "VirtualService", "shop", "torn", "spec.http", "not a list; write one")
    statuses = Gathering().of(found, mesh, (*problems, unread))
    torn, policy = (
        statuses[f"{key}/shop/{name}"]
        for key, name in (
            ("virtualservices.networking.istio.io", "torn"),
            ("authorizationpolicies.security.istio.io", "open"),
        )
    )
    assert isinstance(torn, BoundStatus) and torn.conditions[0].status == "False"
    assert isinstance(policy, BoundStatus)
    assert [each.type for each in policy.conditions] == ["ZtunnelAccepted", "Reconciled"]


def test_equal_worlds_give_the_same_statuses_back() -> None:
    gathering, first = Gathering(), objects(VIRTUAL)
    mesh, problems = compile(first)
    before = gathering.of(first, mesh, problems)
    second = objects(VIRTUAL, d.pod("web", "10.0.0.1"))
    again, problems = compile(second, mesh)
    assert gathering.of(second, again, problems) is before
    third = objects(VIRTUAL, d.allow("open", [{}]))
    mesh, problems = compile(third, again)
    after = gathering.of(third, mesh, problems)
    key = "virtualservices.networking.istio.io/shop/cart"
    assert after is not before and after[key] is before[key]
