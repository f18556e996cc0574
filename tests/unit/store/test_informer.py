from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from kit.memory_api import MemoryApi
from plait.base import aio
from plait.resources.kinds import CONFIG_MAP, POD
from plait.store.api import ApiError, Document
from plait.store.informer import Informer


def at_once() -> Iterator[float]:
    while True:
        yield 0


class Seen(list[tuple[str, str, str]]):
    """What handlers were told: (change, name, data)."""

    def __call__(self, old: Document | None, new: Document | None) -> None:
        document = new or old
        assert document is not None
        change = "add" if old is None else "change" if new is not None else "remove"
        self.append((change, document["metadata"]["name"], document.get("data", {}).get("v", "")))


def config(name: str, value: str = "", **labels: str) -> Document:
    return {"metadata": {"name": name, "namespace": "a", "labels": labels}, "data": {"v": value}}


@pytest.fixture
async def api() -> MemoryApi:
    return MemoryApi()


@pytest.fixture
async def informer(api: MemoryApi) -> AsyncIterator[Informer]:
    await api.create(CONFIG_MAP, config("one", "1"))
    informer = Informer(api, CONFIG_MAP, retry=at_once, indexers={"v": lambda d: [d["data"]["v"]]})
    task = aio.spawn(informer.run(), "informer")
    async with asyncio.timeout(5):
        await informer.synced.wait()
    yield informer
    await aio.cancel(task)


async def until(informer: Informer, names: set[str]) -> None:
    async with asyncio.timeout(5):
        await informer.wait_for(lambda cache: {name for _, name in cache} == names)


async def test_a_late_handler_is_told_what_is_already_there(informer: Informer) -> None:
    seen = Seen()
    informer.on_change(seen)
    assert seen == [("add", "one", "1")]


async def test_changes_arrive_in_order_with_old_and_new(api: MemoryApi, informer: Informer) -> None:
    seen = Seen()
    informer.on_change(seen)
    await api.create(CONFIG_MAP, config("two"))
    await api.patch(CONFIG_MAP, "two", {"data": {"v": "2"}}, "a")
    await api.delete(CONFIG_MAP, "one", "a")
    await until(informer, {"two"})
    assert seen[1:] == [("add", "two", ""), ("change", "two", "2"), ("remove", "one", "1")]


async def test_indexes_follow_changes(api: MemoryApi, informer: Informer) -> None:
    assert [d["metadata"]["name"] for d in informer.indexed("v", "1")] == ["one"]
    await api.patch(CONFIG_MAP, "one", {"data": {"v": "9"}}, "a")
    async with asyncio.timeout(5):
        await informer.wait_for(lambda cache: cache["a", "one"]["data"]["v"] == "9")
    assert informer.indexed("v", "1") == []
    assert [d["metadata"]["name"] for d in informer.indexed("v", "9")] == ["one"]


async def test_an_expired_version_is_survived_by_a_list_that_tells_only_the_difference(
    api: MemoryApi, informer: Informer
) -> None:
    await api.create(CONFIG_MAP, config("two"))
    await until(informer, {"one", "two"})
    seen = Seen()
    informer.on_change(seen)
    del seen[:]
    api.disconnect()
    await api.delete(CONFIG_MAP, "one", "a")
    await api.create(CONFIG_MAP, config("three"))
    api.compact()
    await until(informer, {"two", "three"})
    assert sorted(seen) == [("add", "three", ""), ("remove", "one", "1")]


async def test_an_object_made_again_under_its_name_is_two_changes(api: MemoryApi) -> None:
    await api.create(CONFIG_MAP, config("one", "1"))
    informer, seen = Informer(api, CONFIG_MAP, retry=at_once), Seen()
    informer.on_change(seen)
    task = aio.spawn(informer.run(), "informer")
    await until(informer, {"one"})
    await aio.cancel(task)
    await api.delete(CONFIG_MAP, "one", "a")
    await api.create(CONFIG_MAP, config("one", "new"))
    api.compact()
    task = aio.spawn(informer.run(), "informer again")
    async with asyncio.timeout(5):
        await informer.wait_for(lambda cache: cache["a", "one"]["data"]["v"] == "new")
    await aio.cancel(task)
    assert seen == [("add", "one", "1"), ("remove", "one", "1"), ("add", "one", "new")]


async def test_a_repeated_event_is_told_once(api: MemoryApi, informer: Informer) -> None:
    seen = Seen()
    informer.on_change(seen)
    await api.create(CONFIG_MAP, config("two"))
    api.repeat()
    await api.create(CONFIG_MAP, config("three"))
    await until(informer, {"one", "two", "three"})
    assert [name for _, name, _ in seen] == ["one", "two", "three"]


async def test_bookmarks_move_the_version_and_tell_nothing(api: MemoryApi, informer: Informer) -> None:
    seen = Seen()
    informer.on_change(seen)
    await api.create(POD, {"metadata": {"name": "other", "namespace": "a"}, "spec": {}})
    api.bookmark()
    async with asyncio.timeout(5):
        await informer.wait_for(lambda _: informer.version == str(api.revision))
    assert len(seen) == 1


async def test_a_failing_handler_does_not_stop_the_others(api: MemoryApi, informer: Informer) -> None:
    def broken(old: Document | None, new: Document | None) -> None:
        raise RuntimeError("broken reader")

    seen = Seen()
    informer.on_change(broken)
    informer.on_change(seen)
    await api.create(CONFIG_MAP, config("two"))
    await until(informer, {"one", "two"})
    assert ("add", "two", "") in seen


@pytest.mark.parametrize("error", [ConnectionError("gone"), ApiError(500, "InternalError", "sick")])
async def test_a_server_that_fails_at_first_is_asked_again(api: MemoryApi, error: Exception) -> None:
    await api.create(CONFIG_MAP, config("one"))
    api.fail_next(error)
    informer = Informer(api, CONFIG_MAP, retry=at_once)
    task = aio.spawn(informer.run(), "informer")
    await until(informer, {"one"})
    await aio.cancel(task)


async def test_selector_transitions_add_and_remove(api: MemoryApi) -> None:
    informer = Informer(api, CONFIG_MAP, labels="app=x", retry=at_once)
    task = aio.spawn(informer.run(), "informer")
    await api.create(CONFIG_MAP, config("one", app="y"))
    await api.create(CONFIG_MAP, config("two", app="x"))
    await until(informer, {"two"})
    await api.patch(CONFIG_MAP, "one", {"metadata": {"labels": {"app": "x"}}}, "a")
    await until(informer, {"one", "two"})
    await api.patch(CONFIG_MAP, "two", {"metadata": {"labels": {"app": "y"}}}, "a")
    await until(informer, {"one"})
    await aio.cancel(task)


async def test_a_list_older_than_what_was_seen_is_not_believed(api: MemoryApi, informer: Informer) -> None:
    seen = Seen()
    informer.on_change(seen)
    honest = api.list
    stale = ([config("ghost")], "1")

    async def once_stale(*args: object, **more: object) -> tuple[list[Document], str]:
        api.list = honest  # type: ignore[method-assign]
        return stale

    api.list = once_stale  # type: ignore[method-assign, assignment]
    await api.create(POD, {"metadata": {"name": "p", "namespace": "a"}, "spec": {}})
    api.compact()
    api.disconnect()
    await api.create(CONFIG_MAP, config("two"))
    await until(informer, {"one", "two"})
    assert "ghost" not in [name for _, name, _ in seen]
