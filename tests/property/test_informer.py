"""Whatever happens between server and informer, in whatever order: it converges, and tells a consistent story."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from kit.memory_api import MemoryApi
from plait.base import aio
from plait.resources.kinds import CONFIG_MAP
from plait.store.api import ApiError, Document
from plait.store.informer import Informer, key_of


def at_once() -> Iterator[float]:
    while True:
        yield 0


names = st.sampled_from("abc")
steps = st.one_of(
    st.tuples(st.sampled_from(["create", "change", "delete", "relabel"]), names),
    st.tuples(st.sampled_from(["disconnect", "close", "compact", "bookmark", "repeat", "run", "fail"]), st.just("")),
)


async def play(api: MemoryApi, step: str, name: str, count: int) -> None:
    try:
        if step == "create":
            await api.create(CONFIG_MAP, {"metadata": {"name": name, "namespace": "n", "labels": {"in": "yes"}}})
        elif step == "change":
            await api.patch(CONFIG_MAP, name, {"data": {"v": str(count)}}, "n")
        elif step == "relabel":
            old = await api.get(CONFIG_MAP, name, "n")
            turned = "no" if old["metadata"]["labels"]["in"] == "yes" else "yes"
            await api.patch(CONFIG_MAP, name, {"metadata": {"labels": {"in": turned}}}, "n")
        elif step == "delete":
            await api.delete(CONFIG_MAP, name, "n")
        elif step == "run":
            await asyncio.sleep(0)
        elif step == "fail":
            api.fail_next(ConnectionError("injected"))
        else:
            {"disconnect": api.disconnect, "close": api.close_watches, "compact": api.compact}.get(
                step, api.bookmark if step == "bookmark" else api.repeat
            )()
    except (ApiError, ConnectionError):
        pass


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=30), st.sampled_from(["", "in=yes"]))
def test_any_interleaving_converges_to_the_servers_state(story: list[tuple[str, str]], labels: str) -> None:
    async def run() -> None:
        api = MemoryApi()
        informer = Informer(api, CONFIG_MAP, labels=labels, retry=at_once)
        told: dict[tuple[str, str], Document] = {}

        def handler(old: Document | None, new: Document | None) -> None:
            document = new or old
            assert document is not None
            key = key_of(document)
            assert told.get(key) == old, "old is exactly what was told before"
            if new is None:
                del told[key]
                return
            if old is not None:
                before, after = (int(d["metadata"]["resourceVersion"]) for d in (old, new))
                assert before < after, "never stale, never twice"
            told[key] = new

        failures: list[BaseException] = []

        def checked(old: Document | None, new: Document | None) -> None:
            try:
                handler(old, new)
            except BaseException as error:
                failures.append(error)

        informer.on_change(checked)
        task = aio.spawn(informer.run(), "informer")
        for count, (step, name) in enumerate(story):
            await play(api, step, name, count)
        api._faults.clear()
        await api.create(CONFIG_MAP, {"metadata": {"name": "end", "namespace": "n", "labels": {"in": "yes"}}})
        async with asyncio.timeout(5):
            await informer.wait_for(lambda cache: ("n", "end") in cache)
        await aio.cancel(task)
        assert failures == []
        want, _ = await api.list(CONFIG_MAP, labels=labels)
        assert dict(informer.cache) == {key_of(item): item for item in want} == told

    asyncio.run(run())
