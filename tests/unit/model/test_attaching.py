"""The two conditions of a LimitPolicy, for every place its target can be in."""

from __future__ import annotations

from typing import Any

from kit import cells, worlds
from kit import documents as d
from plait.model.attaching import ACCEPTED, ATTACHED, attached
from plait.model.compile import compile
from plait.model.enforcement import ServerMode

RATE = {"rateLimits": [{"name": "all", "requests": 5}]}
LOAD = {"circuitBreaker": {"maxRequests": 5}}


def conditions(name: str, *documents: d.Document) -> dict[str, tuple[str, str, str]]:
    mesh, problems = compile(worlds.objects(*documents))
    found = attached([("shop", name)], problems, mesh)["shop", name]
    return {each.type: (each.status, each.reason, each.message) for each in found.conditions}


def at(server: ServerMode, **spec: Any) -> dict[str, tuple[str, str, str]]:
    limits = worlds.limits("limits", **spec)
    mesh = cells.world("ambient", server, limits)
    found = attached([("shop", "limits")], (), mesh)["shop", "limits"]
    return {each.type: (each.status, each.reason, each.message) for each in found.conditions}


def test_a_waypoint_or_a_sidecar_carries_it_out() -> None:
    for server, who in (("ambient+waypoint", "waypoint shop/waypoint"), ("sidecar", "sidecar shop/web-1")):
        found = at(server, **RATE)  # type: ignore[arg-type]
        assert found[ACCEPTED][:2] == ("True", "Accepted")
        assert found[ATTACHED] == ("True", "Attached", f"enforced by {who}")


def test_a_sidecar_behind_a_waypoint_leaves_it_to_that() -> None:
    assert at("sidecar+waypoint", **RATE)[ATTACHED][2] == "enforced by waypoint shop/waypoint"


def test_what_nobody_can_count_is_said_to_be_refused_and_what_guards_from_load_to_be_idle() -> None:
    for server in ("ambient", "none"):
        status, reason, text = at(server, **RATE)[ATTACHED]  # type: ignore[arg-type]
        assert (status, reason) == ("False", "NotEnforced")
        assert text.startswith("Service shop/web: ") and "waypoint" in text
    assert "refused there meanwhile" in at("ambient", **RATE)[ATTACHED][2]
    assert "no effect there" in at("ambient", **LOAD)[ATTACHED][2]


def test_a_target_that_is_not_there_is_named() -> None:
    found = conditions("lost", worlds.limits("lost", "nobody", **RATE))
    assert found[ACCEPTED][:2] == ("False", "TargetNotFound") and "Service shop/nobody" in found[ACCEPTED][2]
    assert found[ATTACHED][0] == "False"


def test_a_gateway_carries_out_its_own() -> None:
    ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    found = conditions("edge", worlds.gateway(), worlds.limits("edge", targetRefs=[ref], **RATE))
    assert found[ATTACHED] == ("True", "Attached", "enforced by gateway shop/edge")


def test_a_target_of_another_kind_or_a_service_that_does_not_count_is_invalid() -> None:
    other = worlds.limits("other", targetRefs=[{"kind": "Secret", "name": "a"}], **RATE)
    assert conditions("other", other)[ACCEPTED][:2] == ("False", "Invalid")
    shared = {
        "service": {"name": "counting", "port": 1},
        "domain": "a",
        "limits": [{"descriptor": [{"key": "a", "value": "b"}]}],
    }
    found = conditions("asks", d.service("web", "10.9.0.1"), worlds.limits("asks", sharedRateLimit=shared))
    assert found[ACCEPTED][:2] == ("False", "Invalid")
    assert "Service shop/counting does not exist; requests are refused" in found[ACCEPTED][2]


def test_of_two_that_say_the_same_the_younger_one_is_told() -> None:
    first, second = (
        worlds.limits(name, adaptiveConcurrency={}, creationTimestamp=f"2026-01-0{day}T00:00:00Z")
        for name, day in (("first", 1), ("second", 2))
    )
    service = d.service("web", "10.9.0.1")
    assert conditions("first", service, first, second)[ACCEPTED][1] == "Accepted"
    _, reason, text = conditions("second", service, first, second)[ACCEPTED]
    assert reason == "PartlyOverruled" and "shop/first" in text
