"""Guards come after their way is known, and go before it does; what is told at each moment, by a clock of our own."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from kit import documents as d
from plait.app.arming import Arming
from plait.base.wellknown import USE_WAYPOINT
from plait.model.compile import compile
from plait.model.mesh import Mesh
from plait.resources.objects import from_documents

_GUARD = "shop/plait_guard_waypoint"
_TO_WAYPOINT = {"targetRefs": [{"kind": "Gateway", "group": "gateway.networking.k8s.io", "name": "waypoint"}]}
_TO_SERVICE = {"targetRefs": [{"kind": "Service", "group": "", "name": "api"}]}


def world(*, behind: bool, policy: dict[str, Any] | None = _TO_WAYPOINT, waypoint: bool = True) -> Mesh:
    labels = {USE_WAYPOINT: "waypoint"} if behind else {}
    spec = {
        "gatewayClassName": "istio-waypoint",
        "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}],
    }
    found = [
        d.pod("api-1", "10.0.0.1", labels={"app": "api"}),
        d.service("api", "10.1.0.1", labels=labels),
    ]
    if waypoint:
        found += [
            d.document("gateway.networking.k8s.io/v1", "Gateway", "waypoint", spec=spec),
            d.service("waypoint", "10.1.0.9", labels={"gateway.networking.k8s.io/gateway-name": "waypoint"}),
        ]
    if policy is not None:
        found.append(d.allow("p", [{"to": [{"operation": {"methods": ["GET"]}}]}], spec=policy))
    objects, problems = from_documents(found, check=False)
    assert not problems
    return compile(objects)[0]


def seen(mesh: Mesh) -> tuple[bool, bool, bool]:
    """Is the service said to stand behind its waypoint: to node proxies, to L7 proxies; and does a guard stand?"""
    key = "shop/api.shop.svc.cluster.local"
    (pod,) = (each for each in mesh.workloads.values() if each.name == "api-1")
    guarded = any(name.startswith("shop/plait_guard_") for name in pod.policies)
    return mesh.services[key].waypoint is not None, bool(mesh.l7.services[key].waypoint), guarded


def told(*steps: tuple[float, Mesh], heard: float = 0.0) -> list[tuple[bool, bool, bool]]:
    """`heard`: from when on the waypoint has acknowledged whatever it was told."""
    arming = Arming(1.0)
    return [seen(arming.told(mesh, at, lambda waypoint, at=at: at >= heard)) for at, mesh in steps]


BEHIND, STRAIGHT = world(behind=True), world(behind=False)


def test_the_worlds_differ_as_the_tests_mean() -> None:
    assert (seen(BEHIND), seen(STRAIGHT)) == ((True, True, True), (False, False, False))


def test_attached_the_waypoint_hears_first_then_the_nodes_and_then_the_guard_stands() -> None:
    steps = (0, STRAIGHT), (5, BEHIND), (5.1, BEHIND), (5.4, BEHIND), (6.3, BEHIND), (6.4, BEHIND)
    assert told(*steps) == [
        (False, False, False),
        (False, True, False),
        (False, True, False),
        (True, True, False),
        (True, True, False),
        (True, True, True),
    ]


def test_a_waypoint_that_acknowledges_late_is_waited_for_but_not_for_ever() -> None:
    steps = (0, STRAIGHT), (5, BEHIND), (5.5, BEHIND), (5.7, BEHIND), (5.96, BEHIND), (6, BEHIND), (6.3, BEHIND)
    assert [way for way, _, _ in told(*steps, heard=5.7)] == [False, False, False, False, True, True, True]
    assert [way for way, _, _ in told(*steps, heard=99)] == [False, False, False, False, False, False, True]


def test_detached_the_guard_goes_before_anybody_goes_straight() -> None:
    """And the waypoint serves for another while what nodes send that have not heard."""
    steps = (0, BEHIND), (5, STRAIGHT), (5.9, STRAIGHT), (6, STRAIGHT), (6.9, STRAIGHT), (7, STRAIGHT)
    assert told(*steps) == [
        (True, True, True),
        (True, True, False),
        (True, True, False),
        (False, True, False),
        (False, True, False),
        (False, False, False),
    ]


def test_attached_again_before_anybody_went_straight_the_guard_stands_at_once() -> None:
    assert told((0, BEHIND), (5, STRAIGHT), (5.5, BEHIND))[-1] == (True, True, True)


def test_a_change_beside_it_prolongs_nothing() -> None:
    arming = Arming(1.0)
    for at, mesh in ((0, STRAIGHT), (5, BEHIND), (5.1, BEHIND)):
        arming.told(mesh, at)
    assert arming.ends == pytest.approx(5.35)
    arming.told(BEHIND, 5.4)
    assert arming.ends == pytest.approx(6.4)
    assert seen(arming.told(world(behind=True), 5.5)) == (True, True, False)
    assert arming.ends == pytest.approx(6.4)
    assert seen(arming.told(BEHIND, 6.4)) == (True, True, True)
    assert arming.ends is None


def test_a_policy_for_a_way_that_is_known_stands_at_once() -> None:
    assert told((0, world(behind=True, policy=None)), (5, BEHIND))[-1] == (True, True, True)


def test_the_first_world_is_told_as_it_is() -> None:
    assert told((0, BEHIND)) == [(True, True, True)]


def test_what_refused_everybody_goes_on_refusing_who_does_not_pass_the_waypoint() -> None:
    """A policy of a service without a waypoint lets nobody in; with the waypoint, the guard is another one at once."""
    alone, both = world(behind=False, policy=_TO_SERVICE), world(behind=True, policy=_TO_SERVICE)
    assert told((0, alone), (5, both), (9, alone)) == [(False, False, True), (False, True, True), (False, False, True)]


def test_a_waypoint_that_is_gone_is_no_way() -> None:
    assert told((0, BEHIND), (5, world(behind=False, waypoint=False)))[-1][:2] == (False, False)


def test_a_pod_that_is_new_is_guarded_from_its_first_moment() -> None:
    arming = Arming(1.0)
    without = {uid: each for uid, each in STRAIGHT.workloads.items() if each.name != "api-1"}
    arming.told(structs.replace(STRAIGHT, workloads=without), 0)
    assert seen(arming.told(BEHIND, 5))[2]
