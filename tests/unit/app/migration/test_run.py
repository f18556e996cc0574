"""The record is enough: whoever comes after a kill goes on, or back. The cluster is a small imitation in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import structs

from kit import documents as d
from kit.memory_api import MemoryApi
from plait.app.migration import work
from plait.app.migration.outlook import Outlook
from plait.app.migration.plan import Move, Plan, Resources, Scope
from plait.app.migration.run import Migration, Refused
from plait.app.migration.work import Stuck
from plait.base import aio
from plait.model.modes import Mode
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import Document, PatchType

SHOP = Scope("shop")


class Api(MemoryApi):
    """With as much of server-side apply as a single writer needs."""

    async def patch(
        self,
        kind: Kind,
        name: str,
        body: Any,
        namespace: str = "",
        *,
        type: PatchType = "merge",
        subresource: str = "",
        manager: str = "plait",
        force: bool = False,
    ) -> Document:
        if type == "apply" and not any(each["metadata"]["name"] == name for each in self.all(kind, namespace)):
            return await self.create(kind, body, namespace)
        return await super().patch(kind, name, body, namespace, subresource=subresource)


MODE_LABEL = "istio.io/dataplane-mode"


def outlook(to: Mode, mode: Mode = "none", then: dict[str, str] | None = None) -> Outlook:
    moves = (Move("shop", "cart", "Deployment", mode, 2, "sidecar" in (mode, to)),)
    found = Plan(SHOP, to, "", False, (), moves, ("cart-1", "cart-2"), (), Resources(0, 0), Resources(0, 0))
    return Outlook(found, {"GET /": "allowed"}, then or {"GET /": "allowed"})


async def shop(**labels: str) -> Api:
    api = Api()
    await api.create(kinds.NAMESPACE, {"metadata": {"name": "shop", "labels": labels}})
    for number in (1, 2):
        await api.create(kinds.POD, d.pod(f"cart-{number}", f"10.0.0.{number}", captured=False), "shop")
    return api


@asynccontextmanager
async def agents(api: Api) -> AsyncIterator[None]:
    """Capture and release the pods as the namespace's label says."""

    async def run() -> None:
        while True:
            space = await api.get(kinds.NAMESPACE, "shop")
            wanted = "enabled" if (space["metadata"].get("labels") or {}).get(MODE_LABEL) == "ambient" else None
            for pod in api.all(kinds.POD, "shop"):
                notes = {"metadata": {"annotations": {"ambient.istio.io/redirection": wanted}}}
                await api.patch(kinds.POD, pod["metadata"]["name"], notes, "shop")
            await asyncio.sleep(0.01)

    task = aio.spawn(run(), "agents")
    try:
        yield
    finally:
        await aio.cancel(task)


def migration(api: Api, said: list[str], found: Outlook | None = None) -> Migration:
    async def look(to: Mode) -> Outlook:
        return found or outlook(to)

    return Migration(api, SHOP, look, said.append)


async def captured(api: Api) -> list[bool]:
    return ["ambient.istio.io/redirection" in (p["metadata"].get("annotations") or {}) for p in api.all(kinds.POD)]


async def test_there_and_back() -> None:
    api, said = await shop(kept="yes"), list[str]()
    async with agents(api):
        record = await migration(api, said).apply("ambient", "r1", timeout=5)
        assert (record.phase, record.position, record.before) == ("done", len(record.steps), "none")
        assert await captured(api) == [True, True]
        back = await migration(api, said).rollback(timeout=5)
    assert back.phase == "rolled back" and await captured(api) == [False, False]
    space = await api.get(kinds.NAMESPACE, "shop")
    assert space["metadata"]["labels"] == {"kept": "yes"}


async def test_what_got_stuck_goes_on_where_it_stopped_and_another_aim_is_refused() -> None:
    api, said = await shop(), list[str]()
    with pytest.raises(Stuck, match="pod cart-1 is none"):
        await migration(api, said).apply("ambient", "r1", timeout=0.05)
    record = await migration(api, said).record()
    assert record is not None and record.phase == "stopped" and record.steps[record.position].verb == "settle"
    with pytest.raises(Refused, match="plait migrate rollback shop"):
        await migration(api, said).apply("sidecar", "r2")
    first = len(said)
    async with agents(api):
        await migration(api, said).apply("ambient", "r3", timeout=5)
    assert said[first].startswith(f"{record.position + 1} of {len(record.steps)}"), "nothing is done twice"


async def test_a_rollback_that_was_killed_goes_on() -> None:
    api, said = await shop(), list[str]()
    async with agents(api):
        await migration(api, said).apply("ambient", "r1", timeout=5)
    with pytest.raises(Stuck):
        await migration(api, said).rollback(timeout=0.05)
    stopped = await migration(api, said).record()
    assert stopped is not None and stopped.phase == "rolling back" and 0 < stopped.undone < len(stopped.back)
    async with agents(api):
        assert (await migration(api, said).rollback(timeout=5)).phase == "rolled back"
    with pytest.raises(Refused, match="no migration of shop"):
        await migration(api, said).rollback()


async def test_differing_verdicts_are_refused_unless_accepted() -> None:
    api, said = await shop(), list[str]()
    found = outlook("ambient", then={"GET /": "refused"})
    with pytest.raises(Refused, match="1 of 1 requests would be judged differently, such as GET /: allowed before"):
        await migration(api, said, found).apply("ambient", "r1")
    assert await migration(api, said).record() is None
    async with agents(api):
        record = await migration(api, said, found).apply("ambient", "r1", accepted=True, timeout=5)
    assert record.phase == "done" and record.judged == {}


async def test_what_stands_in_its_way_is_refused_before_anything_is_written() -> None:
    api, said = await shop(), list[str]()
    seen = structs.replace(outlook("ambient"), obstacles=("waypoint shop/w does not exist: make it",))
    with pytest.raises(Refused, match="make it"):
        await migration(api, said, seen).apply("ambient", "run")
    assert said == [] and api.all(kinds.CONFIG_MAP) == []


async def test_a_verdict_of_a_moment_stops_nothing() -> None:
    """A proxy that is not ready just now refuses what it will serve again."""
    api, said, looks = await shop(), list[str](), 0
    refused = Outlook(outlook("ambient").plan, {"GET /": "refused"}, {"GET /": "refused"})

    async def look(to: Mode) -> Outlook:
        nonlocal looks
        looks += 1
        return refused if looks == 2 else outlook(to)

    async with agents(api):
        record = await Migration(api, SHOP, look, said.append).apply("ambient", "r1", timeout=5)
    assert record.phase == "done" and looks > 3


async def test_a_policy_that_changes_meanwhile_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MOMENT", 0.1)
    api, said = await shop(), list[str]()
    with pytest.raises(Stuck):
        await migration(api, said).apply("ambient", "r1", timeout=0.05)
    changed = Outlook(outlook("ambient").plan, {"GET /": "refused"}, {"GET /": "refused"})
    async with agents(api):
        with pytest.raises(Stuck, match="judged differently than at the beginning: GET /"):
            await migration(api, said, changed).apply("ambient", "r1", timeout=5)
        assert (await migration(api, said).rollback(timeout=5)).phase == "rolled back"


async def test_without_pods_made_anew_there_is_no_canary() -> None:
    with pytest.raises(Refused, match="plait migrate apply shop/NAME --to ambient"):
        await migration(await shop(), []).apply("ambient", "r1", canary=0.05)
