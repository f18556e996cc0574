"""Annotations and parameters -> how the proxies of a waypoint are operated; what is wrong names field and way out."""

from __future__ import annotations

import pytest

from plait.deploy.operation import Operation, read


def said(**annotations: str) -> tuple[Operation, tuple[str, ...]]:
    found, wrong = read({f"plait.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}, {})
    return found, tuple(map(str, wrong))


def test_nothing_said_is_a_deployment_that_nobody_scales() -> None:
    assert said() == (Operation(), ())
    assert not Operation().scaled


def test_every_annotation_is_read() -> None:
    found, wrong = said(
        placement="serverless",
        node_class="spot",
        min_replicas="2",
        max_replicas="7",
        scale_to_zero="60s",
        scale_down_after="5m",
        target_cpu="500m",
        target_rps="200",
        target_p99="50ms",
    )
    assert wrong == ()
    assert found == Operation("serverless", "spot", 2, 7, 60.0, 300.0, 0.5, 200.0, 0.05)
    assert found.scaled and found.sleeps


def test_never_is_a_time_too() -> None:
    assert said(scale_to_zero="never") == (Operation(), ())


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("placement", "moon", '"moon" is not a placement; write node, serverless or managed'),
        ("min-replicas", "0", '"0" is not a number of proxies; write 1 to 1000'),
        ("max-replicas", "many", '"many" is not a number of proxies; write 1 to 1000'),
        ("scale-to-zero", "60", '"60" is not a time without use; write for example 60s, or never'),
        ("scale-to-zero", "-1s", '"-1s" is not a time without use; write for example 60s, or never'),
        ("target-cpu", "0", '"0" is not CPU of one proxy; write for example 500m or 1.5'),
        ("target-rps", "nan", '"nan" is not requests a second at one proxy; write for example 200'),
        ("target-p99", "fast", '"fast" is not a time; write for example 50ms'),
        ("node-class", "a b", '"a b" is not a value of the label plait.dev/node-class; write for example serverless'),
    ],
)
def test_a_wrong_value_is_told_with_its_field_and_a_right_one(name: str, value: str, hint: str) -> None:
    found, wrong = read({f"plait.dev/{name}": value}, {})
    assert found == Operation()
    assert [str(each) for each in wrong] == [f"PLT0008 spec.infrastructure.annotations[plait.dev/{name}]: {hint}"]


def test_parameters_say_the_same_without_the_prefix_and_an_annotation_wins() -> None:
    found, wrong = read({"plait.dev/target-rps": "9"}, {"target-rps": 5, "placement": "serverless"})
    assert wrong == ()
    assert (found.rps, found.placement) == (9.0, "serverless")


def test_an_unknown_parameter_is_wrong_and_an_annotation_of_others_is_not_ours() -> None:
    _, wrong = read({"plait.dev/other": "x", "example.com/placement": "y"}, {"replicas": 3})
    assert [(each.code, each.path) for each in wrong] == [("PLT0005", "parameters operation.replicas")]


def test_bounds_that_exclude_each_other_are_wrong() -> None:
    _, wrong = said(min_replicas="5", max_replicas="2")
    assert wrong == (
        "PLT0008 spec.infrastructure.annotations[plait.dev/max-replicas]: "
        "at least 5 and at most 2 cannot both be; raise max-replicas",
    )


def test_a_gateway_is_placed_but_not_scaled() -> None:
    assert read({"plait.dev/placement": "serverless"}, {}, waypoint=False)[1] == ()
    (wrong,) = read({"plait.dev/scale-to-zero": "60s"}, {}, waypoint=False)[1]
    assert "only waypoints are scaled by load" in wrong.message
