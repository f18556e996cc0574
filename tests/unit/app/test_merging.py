from __future__ import annotations

from typing import Any

from plait.app.merging import patch

Document = dict[str, Any]
OLD, NOW = "2026-01-01T00:00:00Z", "2026-02-02T00:00:00Z"
OURS, THEIRS = "plait.dev/gateway-controller", "example.com/gateway-controller"


def condition(kind: str, status: str = "True", **rest: Any) -> Document:
    return {"type": kind, "status": status, "reason": "R", "message": "m", **rest}


def entry(controller: str, parent: str, *conditions: Document) -> Document:
    return {"controllerName": controller, "parentRef": {"name": parent}, "conditions": list(conditions)}


def test_a_first_status_gets_the_present_time() -> None:
    wanted = {"conditions": [condition("Reconciled")]}
    assert patch({}, wanted, ("conditions",), NOW) == {
        "conditions": [condition("Reconciled", lastTransitionTime=NOW)],
    }


def test_nothing_is_written_when_nothing_differs() -> None:
    wanted = {"conditions": [condition("Reconciled", observedGeneration=2)]}
    present = patch({}, wanted, ("conditions", "validationMessages"), OLD)
    assert patch(present, wanted, ("conditions", "validationMessages"), NOW) == {}


def test_a_new_generation_is_no_transition_and_a_new_status_is_one() -> None:
    present = {"conditions": [condition("Reconciled", lastTransitionTime=OLD, observedGeneration=1)]}
    seen = {"conditions": [condition("Reconciled", observedGeneration=2)]}
    assert patch(present, seen, ("conditions",), NOW)["conditions"][0]["lastTransitionTime"] == OLD
    turned = {"conditions": [condition("Reconciled", "False")]}
    assert patch(present, turned, ("conditions",), NOW)["conditions"][0]["lastTransitionTime"] == NOW


def test_conditions_of_other_types_stay_in_their_place() -> None:
    foreign = condition("example.com/Audited", lastTransitionTime=OLD)
    present = {"conditions": [condition("ZtunnelAccepted", lastTransitionTime=OLD), foreign]}
    wanted = {"conditions": [condition("Reconciled")]}
    assert patch(present, wanted, ("conditions",), NOW)["conditions"] == [
        foreign,
        condition("Reconciled", lastTransitionTime=NOW),
    ]
    assert patch(present, {}, ("conditions",), NOW) == {"conditions": [foreign]}
    assert patch({"conditions": [present["conditions"][0]]}, {}, ("conditions",), NOW) == {"conditions": None}


def test_entries_of_other_controllers_stay_and_ours_go_with_their_parent() -> None:
    theirs = entry(THEIRS, "edge", condition("Accepted", lastTransitionTime=OLD))
    ours, gone = (entry(OURS, name, condition("Accepted", lastTransitionTime=OLD)) for name in ("edge", "old"))
    wanted = {"parents": [entry(OURS, "edge", condition("Accepted")), entry(OURS, "new", condition("Accepted"))]}
    made = patch({"parents": [gone, ours, theirs]}, wanted, ("parents",), NOW)
    assert made["parents"] == [ours, theirs, entry(OURS, "new", condition("Accepted", lastTransitionTime=NOW))]
    assert patch({"parents": [gone, theirs]}, {}, ("parents",), NOW) == {"parents": [theirs]}
    assert patch({"parents": [gone]}, {}, ("parents",), NOW) == {"parents": []}
    assert patch({"parents": [theirs]}, {}, ("parents",), NOW) == {}


def test_the_same_parent_of_two_controllers_is_two_entries() -> None:
    theirs = entry(THEIRS, "edge", condition("Accepted", lastTransitionTime=OLD))
    wanted = {"parents": [entry(OURS, "edge", condition("Accepted", "False"))]}
    made = patch({"parents": [theirs]}, wanted, ("parents",), NOW)["parents"]
    assert made == [theirs, entry(OURS, "edge", condition("Accepted", "False", lastTransitionTime=NOW))]


def test_conditions_of_a_listener_keep_their_times_by_its_name() -> None:
    def listener(name: str, routes: int, **rest: Any) -> Document:
        return {"name": name, "attachedRoutes": routes, "conditions": [condition("Programmed", **rest)]}

    present = {"listeners": [listener("a", 0, lastTransitionTime=OLD), listener("b", 0, lastTransitionTime=OLD)]}
    made = patch(present, {"listeners": [listener("b", 3), listener("c", 0)]}, ("listeners",), NOW)
    assert made["listeners"] == [listener("b", 3, lastTransitionTime=OLD), listener("c", 0, lastTransitionTime=NOW)]


def test_fields_that_are_not_ours_are_not_touched_and_whole_ones_are_removed() -> None:
    present = {"addresses": [{"value": "1.2.3.4"}], "validationMessages": [{"level": "ERROR"}]}
    assert patch(present, {}, ("conditions", "validationMessages"), NOW) == {"validationMessages": None}
