from __future__ import annotations

import pytest

from plait.trial.stages import NAMES, Noted, Stages


def test_a_change_is_followed_through_what_each_process_noted() -> None:
    earlier, run = (0.1, 0.1, 0.2, 0.3), (10.01, 10.012, 10.02, 10.03)
    noted = Noted([earlier, run], [(0.3, 0.31), (10.031, 10.04)], [(0.32, 0.33), (10.033, 10.036)])
    stages = Stages()
    stages.add(sent=10.0, stored=10.015, seen=10.05, noted=noted)
    took = [stages.took[name][0] for name in NAMES]
    assert took == pytest.approx([0.015, 0.01, 0.02, 0.03, 0.031, 0.033, 0.036, 0.05])


def test_a_change_that_cannot_be_followed_counts_in_no_stage() -> None:
    stages = Stages()
    stages.add(10.0, 10.1, 10.2, Noted([(9.0, 9.0, 9.1, 9.2)], [(9.2, 9.3)], [(9.3, 9.4)]))
    assert not any(stages.took.values())
