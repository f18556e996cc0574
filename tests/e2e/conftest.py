"""The order of files: each runs in one worker, so the longest begin first and no worker ends long after the others."""

from __future__ import annotations

import pytest

LONGEST_FIRST = (
    "test_migrate",
    "test_bench_fuse",
    "test_waypoint_lifecycle",
    "test_demo",
    "test_waypoint_demo",
    "test_fusion",
    "test_waypoint",
    "test_scale_to_zero",
    "test_diagnose",
    "test_root_rotation",
    "test_autoscaling",
    "test_bench_switch",
    "test_expiry",
    "test_guard",
    "test_hot_restart",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))
