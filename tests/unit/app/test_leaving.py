"""A pod is held until everybody knows that nobody is sent to it any more, and no longer than it helps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kit import documents as d
from plait.app import leaving
from plait.app.leaving import Leaving, subject
from plait.app.pipeline import Pipeline
from plait.base import aio
from plait.model.mesh import Settings
from plait.resources import kinds
from plait.xds.cache import Cache

UID = "Kubernetes//Pod/shop/web"


def pod(name: str, address: str, **more: Any) -> dict[str, Any]:
    found = d.pod(name, address)
    return {**found, "metadata": {**found["metadata"], "uid": f"uid-{name}"}, **more}


def shop(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "shop", **metadata}}


class Objects:
    """What an informer has."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self.there = {(each["metadata"].get("namespace", ""), each["metadata"]["name"]): each for each in documents}

    def get(self, name: str, namespace: str = "") -> dict[str, Any] | None:
        return self.there.get((namespace, name))


class Proxy:
    """Stands for a stream: answers for what it is said to have."""

    def __init__(self, cache: Cache, name: str) -> None:
        self.cache, self.name, self.answered = cache, name, cache.generation
        cache.attach(self, lambda: None)

    def answer(self) -> None:
        self.answered = self.cache.generation

    def statistics(self) -> object:
        return None


class World:
    def __init__(self, made: dict[str, Any] | None = None, namespace: dict[str, Any] | None = None) -> None:
        self.pod = made or pod("web", "10.0.0.1")
        self.pods, self.namespaces = Objects(self.pod), Objects(namespace or shop())
        self.pipeline = Pipeline(Settings())
        self.leaving = Leaving(self.pods, self.namespaces, self.pipeline, lambda: (self.pipeline.cache,))
        self.pipeline.changed(kinds.POD, None, self.pod)
        self.pipeline.open()
        self.proxy = Proxy(self.pipeline.cache, "node-1")

    @property
    def serves(self) -> bool:
        return self.pipeline.mesh.workloads[UID].healthy

    def holding(self) -> asyncio.Task[None]:
        return aio.spawn(self.leaving.hold("shop", "web"), "test")


async def test_a_pod_is_told_as_gone_and_held_until_that_is_acknowledged() -> None:
    world = World()
    assert world.serves
    held = world.holding()
    await asyncio.sleep(0.1)
    assert not world.serves, "it is told as if it were deleted"
    await asyncio.sleep(leaving.WORKERS + 0.2)
    assert not held.done(), "its node has not acknowledged that"
    world.proxy.answer()
    await asyncio.wait_for(held, leaving.WORKERS + 1.0)
    await asyncio.wait_for(world.holding(), 0.05)  # whoever asks again is answered at once
    await world.leaving.close()


async def test_what_happens_to_it_meanwhile_does_not_bring_it_back() -> None:
    world = World()
    held = world.holding()
    await asyncio.sleep(0.1)
    changed = {**world.pod, "metadata": {**world.pod["metadata"], "labels": {"app": "web", "more": "1"}}}
    world.pods.there["shop", "web"] = changed
    world.pipeline.changed(kinds.POD, world.pod, world.leaving.seen(changed))
    await asyncio.sleep(0.1)
    assert not world.serves
    world.proxy.answer()
    await held
    await world.leaving.close()


async def test_a_silent_proxy_is_waited_for_once_and_then_only_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "LONGEST", 0.5)
    world = World()
    other = Proxy(world.pipeline.cache, "node-2")
    held = world.holding()
    await asyncio.sleep(0.1)
    other.answer()
    await asyncio.sleep(0.2)
    assert not held.done()
    await asyncio.wait_for(held, 1.0)
    second = pod("api", "10.0.0.2")
    world.pods.there["shop", "api"] = second
    world.pipeline.changed(kinds.POD, None, second)
    await asyncio.sleep(0.1)
    monkeypatch.setattr(leaving, "LONGEST", 60.0)
    again = aio.spawn(world.leaving.hold("shop", "api"), "test")
    await asyncio.sleep(0.1)
    other.answer()
    await asyncio.wait_for(again, leaving.WORKERS + 1.0)
    await world.leaving.close()


async def test_a_pod_that_nobody_deletes_after_all_serves_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "FORGOTTEN", 0.5)
    world = World()
    held = world.holding()
    await asyncio.sleep(0.1)
    world.proxy.answer()
    await held
    assert not world.serves
    await asyncio.sleep(0.6)
    assert world.serves


NOT_READY = pod("web", "10.0.0.1", status={"phase": "Running", "podIP": "10.0.0.1"})
GOING = shop(deletionTimestamp="2026-01-01T00:00:00Z")


@pytest.mark.parametrize("world", [lambda: World(NOT_READY), lambda: World(namespace=GOING)])
async def test_whoever_gets_no_requests_and_whoever_goes_with_its_namespace_is_not_held(world: Any) -> None:
    await asyncio.wait_for(world().leaving.hold("shop", "web"), 0.05)


async def test_a_pod_that_is_not_known_is_not_held() -> None:
    await asyncio.wait_for(World().leaving.hold("shop", "other"), 0.05)


def test_a_dry_run_is_about_no_pod() -> None:
    asked = {"uid": "1", "namespace": "shop", "name": "web"}
    assert subject(asked) == ("shop", "web") and subject({**asked, "dryRun": True}) is None
