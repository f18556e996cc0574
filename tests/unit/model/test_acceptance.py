"""What the status of an AuthorizationPolicy says: as the enforcement planner and compile have it."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds as l7
from plait.model import acceptance
from plait.model.status import Condition

USE = {"istio.io/use-waypoint": "waypoint"}
CART = d.service("cart", "10.9.0.1", labels=USE)
POD = d.pod("cart-1", "10.0.0.4", labels={"app": "cart"})
HTTP = {"to": [{"operation": {"paths": ["/admin"]}}]}
TCP = {"to": [{"operation": {"ports": ["80"]}}]}
TO_CART = {"targetRefs": [{"group": "", "kind": "Service", "name": "cart"}]}


def said(*documents: d.Document) -> Condition:
    mesh, problems = l7.world(*documents)
    (status,) = acceptance.accepted([("shop", "p")], problems, mesh.l7).values()
    (condition,) = status.conditions
    return condition


@pytest.mark.parametrize(
    ("action", "rules", "status", "reason"),
    [
        ("ALLOW", [TCP], "True", "Accepted"),
        ("ALLOW", [HTTP], "True", "UnsupportedValue"),
        ("DENY", [{**HTTP, "from": [{"source": {"namespaces": ["a"]}}]}], "True", "UnsupportedValue"),
        ("DENY", [HTTP], "False", "UnsupportedValue"),
        ("AUDIT", [HTTP], "False", "UnsupportedValue"),
    ],
    ids=["as written", "an allow that allows less", "a deny that denies more", "a deny of everything", "an audit"],
)
def test_what_is_not_as_written_at_l4_is_said(action: str, rules: list[Any], status: str, reason: str) -> None:
    found = said(d.allow("p", rules, action=action), POD)
    assert (found.type, found.status, found.reason) == (acceptance.CONDITION, status, reason)
    assert (reason == "Accepted") or "targetRefs" in found.message


def test_a_policy_of_a_service_says_which_waypoint_has_it() -> None:
    found = said(l7.waypoint(), CART, POD, d.allow("p", [HTTP], spec=TO_CART))
    assert (found.type, found.status, found.message) == (acceptance.WAYPOINT, "True", "bound to shop/waypoint")


@pytest.mark.parametrize("missing", ["waypoint", "label"])
def test_a_policy_that_no_waypoint_enforces_says_who_is_refused_and_what_to_do(missing: str) -> None:
    world = (CART,) if missing == "waypoint" else (l7.waypoint(), d.service("cart", "10.9.0.1"))
    found = said(*world, POD, d.allow("p", [HTTP], spec=TO_CART))
    assert (found.type, found.status, found.reason) == (acceptance.WAYPOINT, "False", "TargetNotFound")
    assert "refused" in found.message and "plait waypoint apply" in found.message


def test_a_policy_of_nothing_that_exists_says_so() -> None:
    found = said(d.allow("p", [HTTP], spec=TO_CART))
    assert (found.status, found.reason) == ("False", "TargetNotFound")
    assert "does not exist" in found.message
