"""Collecting: Python's full garbage collections look at every object there is, a third of a second in a large mesh.

So what is there is set aside (`gc.freeze`) once it has been looked at: the next collection costs what came since. What
was set aside and is garbage now stays until it is looked at again, which happens rarely and while nothing else does.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Final

from plait.base import heap

EVERY: Final = 5.0
WHOLE: Final = 17_280
"""After so many rounds, a day, everything is looked at again: it costs pages that processes share since their fork."""


async def run(idle: Callable[[], bool] = lambda: True) -> None:
    """Until cancelled; a round is put off while the process is not idle. What is free is given back too."""
    rounds = 0
    while True:
        await asyncio.sleep(EVERY)
        if idle():
            if rounds % WHOLE == WHOLE - 1:
                gc.unfreeze()
            gc.collect()
            gc.freeze()
            heap.trim()
            rounds += 1
