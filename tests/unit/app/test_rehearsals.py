"""Between the informer and the pipeline: what is judged, when it passes, and what stays when it does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from plait.app.pipeline import Pipeline
from plait.app.rehearsals import Rehearsals, asked
from plait.model.mesh import Settings
from plait.resources import kinds
from plait.resources.problems import Problem

LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
GOOD, BAD = "function envoy_on_request(handle) end", "function this is no lua"


def document(*scripts: str, name: str = "script") -> dict[str, Any]:
    values = [
        {"name": "lua", "typed_config": {"@type": LUA, "default_source_code": {"inline_string": each}}}
        for each in scripts
    ]
    patches = [{"applyTo": "HTTP_FILTER", "patch": {"operation": "INSERT_FIRST", "value": each}} for each in values]
    meta = {"name": name, "namespace": "shop"}
    version = "networking.istio.io/v1alpha3"
    return {"apiVersion": version, "kind": "EnvoyFilter", "metadata": meta, "spec": {"configPatches": patches}}


class World:
    """What the pipeline was told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []

    def changed(self, kind: Any, old: Any, new: Any) -> None:
        self.said.append(("changed", new))

    def refused(self, kind: Any, document: Any, problem: Problem) -> None:
        self.said.append(("refused", problem))


class Spare:
    """An Envoy that refuses one word, and counts."""

    def __init__(self) -> None:
        self.asked, self.free = 0, asyncio.Event()
        self.free.set()

    async def __call__(self, configuration: Any) -> str:
        self.asked += 1
        await self.free.wait()
        return "no lua" if "this is no lua" in str(configuration) else ""


async def test_a_refusal_names_the_patch_and_the_words_of_envoy() -> None:
    world, spare = World(), Spare()
    rehearsals = Rehearsals(world, Settings(), spare)
    rehearsals.changed(None, document(GOOD, BAD))
    await rehearsals.settled()
    ((said, problem),) = world.said
    assert said == "refused" and problem.path == "spec.configPatches[1]" and "no lua; mend it" in problem.message


async def test_a_verdict_is_asked_for_once() -> None:
    world, spare = World(), Spare()
    rehearsals = Rehearsals(world, Settings(), spare)
    for _ in range(3):
        rehearsals.changed(None, document(GOOD))
        await rehearsals.settled()
    assert spare.asked == 1 and [said for said, _ in world.said] == ["changed"] * 3


async def test_what_was_deleted_or_changed_meanwhile_is_not_told() -> None:
    world, spare = World(), Spare()
    rehearsals = Rehearsals(world, Settings(), spare)
    spare.free.clear()
    rehearsals.changed(None, document(BAD))
    await asyncio.sleep(0)
    rehearsals.changed(document(BAD), document(GOOD))
    spare.free.set()
    await rehearsals.settled()
    assert world.said == [("changed", document(GOOD))]
    spare.free.clear()
    rehearsals.changed(document(GOOD), document(GOOD, GOOD))
    await asyncio.sleep(0)
    rehearsals.changed(document(GOOD, GOOD), None)
    await rehearsals.settled()
    assert world.said[1:] == [("changed", None)]


async def test_the_last_good_state_stays_and_the_problem_goes_when_it_is_mended() -> None:
    pipeline = Pipeline(Settings())
    rehearsals = Rehearsals(pipeline, Settings(), Spare())
    pipeline.open()

    async def problems(new: dict[str, Any] | None) -> list[str]:
        rehearsals.changed(None, new) if new else rehearsals.changed(document(GOOD), None)
        await rehearsals.settled()
        async with asyncio.timeout(5):
            while not pipeline.settled:
                await asyncio.sleep(0.01)
        return [each.code for each in pipeline.problems]

    assert await problems(document(GOOD)) == []
    kept = pipeline.objects.get(kinds.ENVOY_FILTER, "script", "shop")
    assert await problems(document(BAD)) == ["PLT0014"]
    assert kept is not None and pipeline.objects.get(kinds.ENVOY_FILTER, "script", "shop") is kept
    assert await problems(document(GOOD, GOOD)) == []
    assert await problems(document(BAD)) == ["PLT0014"]
    assert await problems(None) == []
    assert pipeline.objects.get(kinds.ENVOY_FILTER, "script", "shop") is None


@pytest.mark.envoy
async def test_a_real_envoy_says_why() -> None:
    world = World()
    rehearsals = Rehearsals(world, Settings(), asked)
    rehearsals.changed(None, document(GOOD, name="good"))
    rehearsals.changed(None, document(BAD, name="bad"))
    await rehearsals.settled()
    found = dict(world.said)
    assert found["changed"]["metadata"]["name"] == "good"
    assert 'script load error: [string "function this is no lua"]:1:' in found["refused"].message
