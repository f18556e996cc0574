"""Collecting: Python's full garbage collections look at every object there is, a third of a second in a large mesh.

So what is there is set aside (`gc.freeze`) once it has been looked at: the next collection costs what came since. What
was set aside and is garbage now stays until it is looked at again, which happens rarely and while nothing else does.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Final

EVERY: Final = 5.0
WHOLE: Final = 720
"""After so many rounds everything is looked at again: an hour."""


async def run(idle: Callable[[], bool] = lambda: True) -> None:
    """Until cancelled; a round is put off while the process is not idle."""
    rounds = 0
    while True:
        await asyncio.sleep(EVERY)
        if idle():
            if rounds % WHOLE == WHOLE - 1:
                gc.unfreeze()
            gc.collect()
            gc.freeze()
            rounds += 1
