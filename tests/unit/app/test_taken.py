"""What an agent heard is acknowledged when every Envoy it serves has answered for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from plait.app.configuration import Configuration
from plait.app.snapshot import Snapshot
from plait.app.taken import Taken
from plait.base.bundle import Bundle
from plait.envoy.options import Options
from plait.model.mesh import Settings
from plait.wds import messages as wds
from plait.xds.cache import Cache


class Envoy:
    def __init__(self, cache: Cache) -> None:
        self.cache, self.name, self.answered = cache, "envoy", -1
        cache.attach(self, lambda: None)

    def answer(self, generation: int) -> None:
        self.answered = generation
        self.cache.on_answer()

    def statistics(self) -> object:
        return None


async def test_with_nobody_there_it_is_acknowledged_at_once() -> None:
    cache = Cache()
    taken = Taken(cache)
    cache.set(Bundle())
    assert taken.by(cache.generation) is None


async def test_each_state_is_acknowledged_when_the_last_envoy_has_answered_for_it() -> None:
    cache = Cache()
    taken, envoys = Taken(cache), [Envoy(cache), Envoy(cache)]
    cache.set(Bundle())
    first = taken.by(1)
    cache.set(Bundle())
    second = taken.by(2)
    assert first is not None and second is not None
    envoys[0].answer(2)
    envoys[1].answer(1)
    assert (first.done(), second.done()) == (True, False)
    envoys[1].answer(2)
    assert second.done()


async def test_an_envoy_that_goes_is_not_waited_for() -> None:
    cache = Cache()
    taken, envoy = Taken(cache), Envoy(cache)
    cache.set(Bundle())
    heard = taken.by(1)
    assert heard is not None and not heard.done()
    cache.detach(envoy)
    assert heard.done()


async def test_what_is_not_translated_yet_is_waited_for_also_with_nobody_there() -> None:
    cache = Cache()
    heard = Taken(cache).by(1)
    assert heard is not None and not heard.done()
    cache.set(Bundle())
    assert heard.done()


async def test_a_node_answers_for_what_it_heard_when_it_was_translated_and_its_envoy_has_answered(
    tmp_path: Path,
) -> None:
    config = Configuration("n", Settings(), Snapshot(tmp_path / "s"), Options(access_log="/dev/null"))
    envoy = Envoy(config.cache)
    envoy.answer(config.cache.generation)
    assert config.applied() is None
    config.on_delta(wds.ADDRESS_TYPE, (), ())
    answered = config.applied()
    assert answered is not None
    async with asyncio.timeout(10):
        while config.cache.generation == envoy.answered:
            await asyncio.sleep(0.01)
    assert not answered.done(), "Envoy has not answered"
    envoy.answer(config.cache.generation)
    assert answered.done()
