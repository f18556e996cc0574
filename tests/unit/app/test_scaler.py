"""Which writes the scaler makes: it wakes once, puts to sleep with a mark, and leaves alone what is not its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from kit.memory_api import MemoryApi
from plait.app.loads import Loads
from plait.app.scaler import Scaled, Scaler
from plait.base import aio
from plait.base.wellknown import ASLEEP
from plait.deploy.operation import Operation
from plait.deploy.scaling import Report
from plait.resources import kinds
from plait.store.informer import Informer

SHOP = ("shop", "waypoint")
SLEEPS = Operation(least=2, idle=0.01)


class Told(Loads):
    """What nodes say; None: they do not answer."""

    def __init__(self) -> None:
        self.reports: dict[str, Report] = {}

    async def of(self, nodes: Any) -> dict[str, Report]:
        assert list(nodes) == ["node-1"]
        return dict(self.reports)

    async def close(self) -> None:
        pass


class World:
    def __init__(self, operation: Operation, replicas: int, asleep: bool = False) -> None:
        self.api, self.told, self.operation = MemoryApi(), Told(), operation
        self.deployments = Informer(self.api, kinds.DEPLOYMENT)
        self.annotations = {ASLEEP: "true"} if asleep else {}
        self.replicas, self.waiting, self.served = replicas, 0, False
        pod = {"metadata": {"namespace": "shop", "name": "waypoint-1"}, "spec": {"nodeName": "node-1"}}
        self.scaler = Scaler(
            self.api,
            lambda: {SHOP: Scaled(self.operation, "shop", "waypoint")},
            self.deployments,
            lambda key: [pod] if self.replicas else [],
            self.told,
            lambda key: self.waiting,
            lambda key: self.served,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        metadata = {"name": "waypoint", "namespace": "shop", "annotations": self.annotations}
        await self.api.create(kinds.DEPLOYMENT, {"metadata": metadata, "spec": {"replicas": self.replicas}})
        following = aio.spawn(self.deployments.run(), "deployments")
        try:
            await self.deployments.synced.wait()
            yield
        finally:
            await aio.cancel(following)

    async def look(self) -> None:
        """One look at everything, and what it wrote has come back."""
        await self.scaler._all(self.scaler._scaled())
        await asyncio.sleep(0.02)

    async def found(self) -> tuple[int, bool]:
        deployment = await self.api.get(kinds.DEPLOYMENT, "waypoint", "shop")
        return deployment["spec"]["replicas"], ASLEEP in (deployment["metadata"].get("annotations") or {})


async def test_who_calls_a_waypoint_that_sleeps_has_it_woken_once() -> None:
    world = World(SLEEPS, 0, asleep=True)
    async with world.running():
        for _ in range(5):
            world.scaler.wake(SHOP)
        await asyncio.sleep(0.05)
        world.scaler.wake(SHOP)
        assert await world.found() == (2, False)
        assert [verb for verb, *_ in world.api.log if verb != "create"] == ["update"]


async def test_while_somebody_else_is_about_to_serve_nothing_is_started() -> None:
    world = World(SLEEPS, 0, asleep=True)
    async with world.running():
        world.served = True
        world.scaler.wake(SHOP)
        await asyncio.sleep(0.1)
        await world.look()
        assert await world.found() == (0, True)
        world.served = False
        async with asyncio.timeout(5):
            while await world.found() != (2, False):
                await asyncio.sleep(0.01)


async def test_nobody_uses_it_so_it_sleeps_with_a_mark() -> None:
    world = World(SLEEPS, 2)
    async with world.running():
        world.told.reports = {"shop/waypoint-1": Report(1.0, 5)}
        await world.look()
        world.told.reports = {"shop/waypoint-1": Report(2.0, 5)}
        await world.look()
        await world.look()
        assert await world.found() == (0, True)


async def test_who_waits_and_what_nobody_could_measure_keep_it_awake() -> None:
    world = World(SLEEPS, 2)
    async with world.running():
        for _ in range(3):
            await world.look()  # no node answers
        world.told.reports = {"shop/waypoint-1": Report(1.0, 5)}
        world.waiting = 1
        for _ in range(3):
            await world.look()
        assert await world.found() == (2, False)


async def test_one_that_may_not_sleep_any_more_is_woken_but_not_one_that_somebody_else_stopped() -> None:
    for asleep, wanted in ((True, 1), (False, 0)):
        world = World(Operation(rps=5.0), 0, asleep=asleep)
        async with world.running():
            await world.look()
            await asyncio.sleep(0.02)
            assert (await world.found())[0] == wanted
