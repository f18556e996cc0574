from __future__ import annotations

import asyncio
import gc

import pytest

from plait.base import aio, collecting


async def test_what_lives_is_set_aside_while_the_process_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "EVERY", 0.001)
    busy, asked = [True], asyncio.Event()

    def idle() -> bool:
        asked.set()
        return not busy[0]

    before = gc.get_freeze_count()
    task = aio.spawn(collecting.run(idle), "collecting")
    try:
        await asked.wait()
        assert gc.get_freeze_count() == before, "not while it is busy"
        busy[0] = False
        while gc.get_freeze_count() == before:
            await asyncio.sleep(0.001)
    finally:
        await aio.cancel(task)
        gc.unfreeze()
