"""What an agent heard is acknowledged when every Envoy it serves has answered for it."""

from __future__ import annotations

from plait.app.taken import Taken
from plait.base.bundle import Bundle
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
