"""Whose turn it is to start: a claimed proxy before its waypoint's own, that one before the next warm one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kit.memory_api import MemoryApi
from plait.app import warm
from plait.app.warm import BREATH, PATIENCE, Warm
from plait.base import aio
from plait.base.wellknown import CLAIMED, POOL_NAMESPACE, SERVING, WARM
from plait.resources import kinds
from plait.store.informer import Informer, Key

Document = dict[str, Any]
SHOP: Key = ("shop", "waypoint")


class PoolApi(MemoryApi):
    """Its one strategic patch sets the only condition that anybody looks at afterwards."""

    async def patch(self, *args: Any, type: str = "", **said: Any) -> Document:
        return await super().patch(*args, **said)


class World:
    """A pool with one warm proxy. `at` is the time; `own` the waypoint's Deployment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = 1000.0
        monkeypatch.setattr(aio, "now", lambda: self.at)
        self.accepts = asyncio.Event()
        monkeypatch.setattr(warm, "_accepts", self._accepts)
        self.api, self.own, self.again = PoolApi(), Document(), list[float]()
        self.pods = Informer(self.api, kinds.POD)
        self.warm = Warm(self.api, self.pods, lambda key: self.own or None, lambda _, soon: self.again.append(soon))

    async def _accepts(self, address: str) -> bool:
        await self.accepts.wait()
        return True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        metadata = {"name": "warm-1", "namespace": POOL_NAMESPACE, "labels": {WARM: "true"}}
        begun = {"podIP": "10.0.0.1", "conditions": [{"type": "ContainersReady", "status": "True"}]}
        await self.api.create(kinds.POD, {"metadata": metadata, "spec": {}, "status": begun})
        following = aio.spawn(self.pods.run(), "pods")
        try:
            await self.pods.synced.wait()
            yield
        finally:
            await self.warm.close()
            await aio.cancel(following)

    async def claim(self) -> Document:
        async def nothing(uid: str) -> None:
            """It has no account to name it."""

        found = await self.warm.take(SHOP, nothing, {CLAIMED: "true"})
        assert found is not None
        self.warm.follow(SHOP, [found])
        return found

    async def pod(self) -> Document:
        await asyncio.sleep(0.02)
        return await self.api.get(kinds.POD, "warm-1", POOL_NAMESPACE)


async def test_a_proxy_of_its_own_waits_until_the_claimed_one_has_answered_who_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch)
    async with world.running():
        assert world.warm.call(SHOP) and world.warm.first(SHOP), "from the call on"
        assert not world.warm.call(SHOP), "once"
        await world.claim()
        world.at += PATIENCE - 0.1
        assert world.warm.first(SHOP)
        world.accepts.set()
        assert any(each["type"] == SERVING for each in (await world.pod())["status"]["conditions"])
        assert world.again[-1] == BREATH, "then the waypoint is looked at"
        world.at += BREATH - 0.2
        assert world.warm.first(SHOP)
        world.at += 0.3
        assert not world.warm.first(SHOP)


async def test_nobody_waits_for_a_claimed_proxy_that_does_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    async with world.running():
        world.warm.call(SHOP)
        await world.claim()
        assert PATIENCE in world.again, "then the waypoint is looked at"
        world.at += PATIENCE
        assert not world.warm.first(SHOP)


async def test_nobody_waits_where_no_warm_proxy_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    async with world.running():
        await world.claim()
        other = ("shop", "other")
        assert not world.warm.call(other)
        assert await world.warm.take(other, lambda uid: asyncio.sleep(0), {}) is None
        assert not world.warm.first(other)


async def test_the_next_warm_one_is_made_when_the_claimed_one_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    async with world.running():
        await world.claim()
        world.accepts.set()
        pod = await world.pod()
        assert WARM in pod["metadata"]["labels"], "its Deployment counts it, so it starts no other beside it"
        world.own = {"spec": {"replicas": 1}, "status": {"readyReplicas": 1}}
        await world.warm.relieve(SHOP, [pod])
        assert world.api.log[-1][0] == "remove"


async def test_one_that_is_not_relieved_for_long_is_replaced_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "PATIENCE", 0.05)
    world = World(monkeypatch)
    async with world.running():
        await world.claim()
        world.accepts.set()
        async with asyncio.timeout(5):
            while WARM in (await world.pod())["metadata"]["labels"]:
                pass


async def test_it_stays_until_the_waypoint_has_one_of_its_own_and_goes_when_that_sleeps_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch)
    async with world.running():
        pod = await world.claim()
        world.own = {"spec": {"replicas": 0}}
        world.at += PATIENCE + BREATH
        await world.warm.relieve(SHOP, [pod])
        assert await world.pod(), "its own is just about to be started"
        world.at += PATIENCE
        await world.warm.relieve(SHOP, [pod])
        assert world.api.log[-1][0] == "remove"
