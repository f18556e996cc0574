"""Watch windows: nothing that happens is missed, whatever moment it happens in."""

from __future__ import annotations

import asyncio

import pytest

from plait.store.state import Address, State
from plait.store.watch import Watches

PODS: Address = ("", "pods")


async def turns(count: int) -> None:
    """Let the event loop go round so often."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("moment", range(5))
async def test_a_change_in_the_very_moment_in_which_the_wait_ends_is_at_hand(moment: int) -> None:
    """Empty would let a bookmark go before it, and the client would take it for old."""
    state, watches = State(), Watches()
    watcher = watches.open(PODS, lambda document: True, after=0)
    taken = asyncio.create_task(watcher.take(0.0))
    await turns(moment)
    new = state.put(PODS, {"kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}})
    state.apply(new)
    late = taken.done()
    watches.publish(new)
    found = await taken
    assert found is not None
    assert late or [record.revision for _, record in found] == [1]
    rest = await watcher.take(0.0)
    assert rest is not None
    assert len(found) + len(rest) == 1, "and told once"
