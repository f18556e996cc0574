"""What may be said of measured blocks: percentiles, and savings with the bounds of their confidence.

Blocks are the unit: requests of one block share its weather, so they are no independent draws. An interval comes from
drawing whole blocks again and again (percentile bootstrap), all modes of a block together: what disturbed the machine
disturbed neighbours alike. With fewer than about eight blocks the bounds are coarse; a report says how many there were.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

ROUNDS = 2000
CONFIDENCE = 0.95
_SEED = 20261128
Verdict = Literal["reached", "not reached", "open"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the bounds that hold it with `CONFIDENCE`."""

    value: float
    low: float
    high: float

    def against(self, target: float) -> Verdict:
        """Is it at least `target`? Open while the bounds lie on both sides of it."""
        if self.low >= target:
            return "reached"
        return "not reached" if self.high < target else "open"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all are not above; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def mean(values: Sequence[float]) -> Interval:
    """Of one figure a block."""
    return _bootstrap(len(values), lambda drawn: sum(values[n] for n in drawn) / len(drawn))


def saving(ours: Sequence[tuple[float, float]], theirs: Sequence[tuple[float, float]]) -> Interval:
    """1 - ours/theirs, each a ratio (cost, units) summed over blocks; the n-th of both were measured side by side.

    Where the other side costs nothing (or less, which noise can do to a difference) there is nothing to save: minus
    infinity, so that no lower bound can claim it.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} and {len(theirs)} blocks: savings are of blocks measured side by side")

    def of(drawn: Sequence[int]) -> float:
        other = _ratio([theirs[n] for n in drawn])
        return 1 - _ratio([ours[n] for n in drawn]) / other if other > 0 else float("-inf")

    return _bootstrap(len(ours), of)


def _ratio(parts: Sequence[tuple[float, float]]) -> float:
    units = sum(each for _, each in parts)
    return sum(cost for cost, _ in parts) / units if units else 0.0


def _bootstrap(count: int, statistic: Callable[[Sequence[int]], float]) -> Interval:
    if not count:
        raise ValueError("no block was measured")
    numbers = random.Random(_SEED)
    drawn = sorted(statistic(numbers.choices(range(count), k=count)) for _ in range(ROUNDS))
    cut = (1 - CONFIDENCE) / 2
    return Interval(statistic(range(count)), percentile(drawn, cut), percentile(drawn, 1 - cut))
