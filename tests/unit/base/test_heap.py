from __future__ import annotations

from pathlib import Path

import pytest

from plait.base import heap


def private() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024


def test_what_was_freed_is_given_back() -> None:
    if heap._library() is None:
        pytest.skip("another C library than glibc")
    blocks = [bytes(4000) for _ in range(20_000)]  # too large for Python's own pools, too small for pages of their own
    full, last = private(), blocks[-1]
    blocks.clear()
    heap.trim()
    assert private() < full - 60_000_000, len(last)
