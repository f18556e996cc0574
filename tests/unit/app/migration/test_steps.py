"""The way back takes back what was begun, and no pod loses its mode before it is another."""

from __future__ import annotations

from plait.app.migration.steps import Step, back

FORTH = (
    Step("waypoint", "waypoint"),
    Step("hold", "cart", waypoint="shop/waypoint"),
    Step("attach", "cart", waypoint="shop/waypoint"),
    Step("compare"),
    Step("label"),
    Step("restart", "cart"),
    Step("settle"),
    Step("unlabel"),
    Step("release", "cart"),
    Step("verify"),
)


def verbs(begun: int) -> list[str]:
    return [step.verb for step in back(FORTH[:begun], "sidecar")]


def test_all_of_it() -> None:
    assert verbs(10) == ["hold", "relabel", "restart", "restore", "settle", "detach", "forget", "release"]


def test_the_waypoint_is_optional_again_before_pods_change() -> None:
    first = back(FORTH, "sidecar")[0]
    assert (first.verb, first.subject, first.waypoint) == ("hold", "cart", "shop/waypoint")


def test_only_what_was_begun() -> None:
    assert verbs(1) == ["settle", "forget"]
    assert verbs(2) == ["settle", "forget", "release"]
    assert verbs(3) == ["hold", "settle", "detach", "forget", "release"]
    assert verbs(5) == ["hold", "relabel", "restore", "settle", "detach", "forget", "release"]


def test_without_labels_changed_no_pod_is_touched() -> None:
    assert not {"relabel", "restart", "restore"} & set(verbs(4))
