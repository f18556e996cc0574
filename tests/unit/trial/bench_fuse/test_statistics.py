"""Savings are of blocks side by side, and their bounds are as wide as the blocks differ."""

from __future__ import annotations

import random

import pytest

from plait.trial.bench_fuse.statistics import Interval, mean, percentile, saving


def test_percentiles_are_values_that_were_measured() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, share) for share in (0.0, 0.2, 0.5, 0.9, 1.0)] == [1.0, 1.0, 3.0, 5.0, 5.0]
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([], 0.5) == 0.0


def test_the_mean_of_equal_blocks_is_certain() -> None:
    assert mean([2.0, 2.0, 2.0]) == Interval(2.0, 2.0, 2.0)


def test_bounds_hold_the_truth_about_as_often_as_they_say() -> None:
    numbers, held = random.Random(1), 0
    for _ in range(30):
        found = mean([numbers.gauss(10.0, 2.0) for _ in range(20)])
        held += found.low <= 10.0 <= found.high
    assert held >= 24  # 28 are expected; bootstrap intervals of few blocks are a little too narrow


def test_a_saving_is_of_sums_so_a_long_block_weighs_more() -> None:
    found = saving([(10.0, 100.0), (30.0, 300.0)], [(40.0, 100.0), (120.0, 300.0)])
    assert found.value == pytest.approx(0.75) and found.low == pytest.approx(0.75)
    uneven = saving([(10.0, 100.0), (90.0, 100.0)], [(100.0, 100.0), (100.0, 100.0)])
    assert uneven.value == pytest.approx(0.5)
    assert (uneven.low, uneven.high) == (pytest.approx(0.1), pytest.approx(0.9))


def test_what_disturbed_both_sides_of_a_block_does_not_widen_the_bounds() -> None:
    weather = [1.0, 5.0, 2.0, 8.0, 1.5, 4.0]
    found = saving([(0.3 * each, 1.0) for each in weather], [(1.0 * each, 1.0) for each in weather])
    assert found.low == pytest.approx(0.7) and found.high == pytest.approx(0.7)


def test_nothing_can_be_saved_of_nothing() -> None:
    assert saving([(1.0, 1.0)], [(0.0, 1.0)]).low == float("-inf")
    mixed = saving([(1.0, 1.0)] * 4, [(-1.0, 1.0), (3.0, 1.0), (3.0, 1.0), (3.0, 1.0)])
    assert mixed.value == pytest.approx(0.5) and mixed.low < 0.5


def test_blocks_must_be_pairs() -> None:
    with pytest.raises(ValueError, match="side by side"):
        saving([(1.0, 1.0)], [])
    with pytest.raises(ValueError, match="no block"):
        saving([], [])


def test_a_target_is_reached_by_the_lower_bound_only() -> None:
    assert Interval(0.7, 0.6, 0.8).against(0.6) == "reached"
    assert Interval(0.7, 0.5, 0.8).against(0.6) == "open"
    assert Interval(0.3, 0.2, 0.5).against(0.6) == "not reached"
