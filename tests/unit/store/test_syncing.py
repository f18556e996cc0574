from __future__ import annotations

import asyncio
import threading

import pytest

from plait.store.syncing import Syncing


async def test_writes_that_come_together_wait_together_and_later_ones_for_the_next() -> None:
    syncs: list[int] = []
    disk, begun = threading.Event(), threading.Event()

    def sync() -> None:
        syncs.append(len(syncs))
        begun.set()
        assert disk.wait(5)

    syncing = Syncing(sync)
    for _ in range(3):
        syncing.wrote()
    first = asyncio.create_task(syncing.done())
    await asyncio.to_thread(begun.wait, 5)
    syncing.wrote()
    later = asyncio.create_task(syncing.done())
    await asyncio.sleep(0)
    assert not first.done()
    disk.set()
    await asyncio.wait_for(asyncio.gather(first, later), 5)
    assert len(syncs) == 2, "one for the three, one for what came while it ran"
    await syncing.done()
    assert len(syncs) == 2


async def test_a_stream_of_later_writes_keeps_nobody_waiting() -> None:
    syncing = Syncing(lambda: None)
    waiting = True

    async def others() -> None:
        while waiting:
            syncing.wrote()
            await asyncio.sleep(0)

    stream = asyncio.create_task(others())
    syncing.wrote()
    await asyncio.wait_for(syncing.done(), 5)
    waiting = False
    await stream
    await syncing.done()


async def test_who_waits_hears_that_the_disk_failed_and_the_next_write_tries_again() -> None:
    broken = [True]

    def sync() -> None:
        if broken[0]:
            raise OSError("no space left")

    syncing = Syncing(sync)
    syncing.wrote()
    with pytest.raises(OSError, match="no space"):
        await syncing.done()
    broken[0] = False
    await syncing.done()


def test_without_a_loop_a_write_is_durable_at_once() -> None:
    syncs: list[int] = []
    Syncing(lambda: syncs.append(1)).wrote()
    assert syncs == [1]
