"""The order of files: each runs in one worker, so the longest begin first and no worker ends long after the others."""

from __future__ import annotations

import pytest

LONGEST_FIRST = (
    "test_migrate",
    "test_bench_fuse",
    "test_waypoint_lifecycle",
    "test_ip_families",
    "test_waypoint_demo",
    "test_fusion",
    "test_scale_to_zero",
    "test_demo",
    "test_waypoint",
    "test_diagnose",
    "test_root_rotation",
    "test_autoscaling",
    "test_bench_switch",
    "test_expiry",
    "test_guard",
    "test_hot_restart",
    "test_sidecar",
    "test_revocation",
    "test_changeover",
    "test_faults",
    "test_names",
    "test_other_protocols",
    "test_lifecycle",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))
