"""How often a reliability test does its work: a few times in each run, as often as PLAIT_ROUNDS says in a long one."""

from __future__ import annotations

import os


def rounds(usual: int) -> int:
    return int(os.environ.get("PLAIT_ROUNDS", usual))
