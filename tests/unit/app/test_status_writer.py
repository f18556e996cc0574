"""The writer over an API in memory, fed by real informers and the real pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from kit import documents as d
from kit.memory_api import MemoryApi
from plait.app.measured import Measured
from plait.app.pipeline import READ, Pipeline
from plait.app.status_writer import StatusWriter
from plait.base import aio
from plait.model.mesh import Settings
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import ApiError, Document
from plait.store.informer import Informer

API = "gateway.networking.k8s.io/v1"
THEIRS = {"controllerName": "example.com/c", "parentRef": {"name": "other"}, "conditions": []}


@dataclass(frozen=True)
class Found:
    programmed: bool = True
    reason: str = ""
    message: str = ""
    addresses: list[str] = field(default_factory=list)


class Bench:
    def __init__(self) -> None:
        self.api, self.pipeline = MemoryApi(), Pipeline(Settings())
        self.measured: dict[tuple[str, str], Measured] = {}
        self.time = 1_800_000_000.0
        informers = {kind: Informer(self.api, kind) for kind in READ}
        for kind, informer in informers.items():
            informer.on_change(lambda old, new, kind=kind: self.pipeline.changed(kind, old, new))  # type: ignore[misc]
        self.informers: Mapping[Kind, Informer] = informers
        self.writer = StatusWriter(
            self.api, self.pipeline, informers, measured=lambda: self.measured, now=lambda: self.time
        )
        self.pipeline.on_compiled = self.writer.compiled

    def status(self, kind: Kind, name: str) -> Document:
        (found,) = (each for each in self.api.all(kind) if each["metadata"]["name"] == name)
        status: Document = found.get("status") or {}
        return status

    async def until(self, what: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not what():
                await asyncio.sleep(0.005)

    async def quiet(self) -> int:
        """How often was written once nothing is written any more."""
        while True:
            before = len(self.api.log)
            await asyncio.sleep(0.3)
            if len(self.api.log) == before:
                return self.writer.statistics.written


@asynccontextmanager
async def running() -> AsyncIterator[Bench]:
    bench = Bench()
    tasks = [aio.spawn(each.run(), "informer") for each in bench.informers.values()]
    await asyncio.gather(*(each.synced.wait() for each in bench.informers.values()))
    bench.pipeline.open()
    tasks.append(aio.spawn(bench.writer.run(), "writer"))
    try:
        yield bench
    finally:
        await aio.cancel(*tasks)


def gateway(name: str = "edge", class_name: str = "plait") -> Document:
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    return d.document(API, "Gateway", name, spec={"gatewayClassName": class_name, "listeners": [listener]})


def route(name: str = "r", *parents: str, **rest: Any) -> Document:
    return d.document(API, "HTTPRoute", name, spec={"parentRefs": [{"name": each} for each in parents]}, **rest)


def virtual(name: str = "cart") -> Document:
    return d.document("networking.istio.io/v1", "VirtualService", name, spec={"hosts": [name]})


def condition(status: Document, kind: str) -> Document:
    found: Document = next((each for each in status.get("conditions") or [] if each["type"] == kind), {})
    return found


async def test_a_status_is_written_once_and_writing_it_compiles_nothing() -> None:
    async with running() as bench:
        await bench.api.create(kinds.GATEWAY, gateway())
        await bench.api.create(kinds.HTTP_ROUTE, route("r", "edge"))
        await bench.api.create(kinds.VIRTUAL_SERVICE, virtual())
        await bench.until(lambda: "parents" in bench.status(kinds.HTTP_ROUTE, "r"))
        (parent,) = bench.status(kinds.HTTP_ROUTE, "r")["parents"]
        assert parent["controllerName"] == "plait.dev/gateway-controller"
        accepted = condition(parent, "Accepted")
        assert (accepted["status"], accepted["observedGeneration"]) == ("True", 1)
        written, compiles = await bench.quiet(), bench.pipeline.statistics.compiles
        assert condition(bench.status(kinds.VIRTUAL_SERVICE, "cart"), "Reconciled")["status"] == "True"
        await bench.api.patch(kinds.HTTP_ROUTE, "r", {"metadata": {"labels": {"a": "b"}}}, "shop")
        await bench.until(lambda: bench.pipeline.statistics.compiles > compiles)
        assert await bench.quiet() == written, "nothing new is to be said"
        assert bench.pipeline.statistics.compiles == compiles + 1


async def test_a_changed_spec_raises_the_generation_and_keeps_the_time() -> None:
    async with running() as bench:
        await bench.api.create(kinds.GATEWAY, gateway())
        await bench.api.create(kinds.HTTP_ROUTE, route("r", "edge"))
        await bench.until(lambda: "parents" in bench.status(kinds.HTTP_ROUTE, "r"))

        def accepted() -> Document:
            return condition(bench.status(kinds.HTTP_ROUTE, "r")["parents"][0], "Accepted")

        began = accepted()["lastTransitionTime"]
        bench.time += 60
        await bench.api.patch(kinds.HTTP_ROUTE, "r", {"spec": {"hostnames": ["a.example"]}}, "shop")
        await bench.until(lambda: accepted()["observedGeneration"] == 2)
        assert accepted()["lastTransitionTime"] == began
        wrong = {"spec": {"parentRefs": [{"name": "edge", "sectionName": "none"}]}}
        await bench.api.patch(kinds.HTTP_ROUTE, "r", wrong, "shop")
        await bench.until(lambda: accepted()["status"] == "False")
        assert accepted()["lastTransitionTime"] > began


async def test_others_entries_stay_and_ours_go_with_the_parent() -> None:
    async with running() as bench:
        await bench.api.create(kinds.GATEWAY, gateway())
        await bench.api.create(kinds.GATEWAY, gateway("far", "someone-elses"))
        await bench.api.create(kinds.HTTP_ROUTE, route("r", "edge", "far", status={"parents": [THEIRS]}))
        await bench.until(lambda: len(bench.status(kinds.HTTP_ROUTE, "r")["parents"]) == 2)
        await bench.api.patch(kinds.HTTP_ROUTE, "r", {"spec": {"parentRefs": [{"name": "far"}]}}, "shop")
        await bench.until(lambda: bench.status(kinds.HTTP_ROUTE, "r")["parents"] == [THEIRS])
        assert "status" not in next(each for each in bench.api.all(kinds.GATEWAY) if each["metadata"]["name"] == "far")


async def test_what_somebody_else_erased_is_written_again() -> None:
    async with running() as bench:
        await bench.api.create(kinds.VIRTUAL_SERVICE, virtual())
        await bench.until(lambda: bench.status(kinds.VIRTUAL_SERVICE, "cart"))
        await bench.api.patch(kinds.VIRTUAL_SERVICE, "cart", {"status": None}, "shop", subresource="status")
        await bench.until(lambda: bench.status(kinds.VIRTUAL_SERVICE, "cart"))


async def test_a_conflict_or_a_lost_connection_is_tried_again() -> None:
    async with running() as bench:
        await bench.api.create(kinds.VIRTUAL_SERVICE, virtual())
        bench.api.fail_next(ApiError(409, "Conflict", "the object has been modified"))
        bench.api.fail_next(ConnectionError("away"))
        await bench.until(lambda: bench.status(kinds.VIRTUAL_SERVICE, "cart"))
        assert bench.writer.statistics.conflicts == 1
        assert bench.writer.statistics.failures == 1


async def test_an_object_that_has_gone_is_not_tried_again() -> None:
    async with running() as bench:
        tried: list[Any] = []

        async def gone(kind: Kind, name: str, *_: Any, **__: Any) -> Document:
            tried.append(name)
            raise ApiError(404, "NotFound", "gone")

        bench.api.patch = gone  # type: ignore[method-assign]
        await bench.api.create(kinds.VIRTUAL_SERVICE, virtual())
        await bench.until(lambda: tried)
        await asyncio.sleep(0.3)
        assert len(tried) <= 2, "once for the object, once for its status: then nothing changes any more"
        assert bench.writer.statistics.failures == 0


async def test_programmed_is_what_was_measured() -> None:
    async with running() as bench:
        await bench.api.create(kinds.GATEWAY, gateway())

        def programmed() -> Document:
            return condition(bench.status(kinds.GATEWAY, "edge"), "Programmed")

        await bench.until(programmed)
        assert (programmed()["status"], programmed()["reason"]) == ("False", "Pending")
        bench.measured[("shop", "edge")] = Found(addresses=["10.0.0.9"])
        await bench.until(lambda: programmed()["status"] == "True")
        assert bench.status(kinds.GATEWAY, "edge")["addresses"] == [{"type": "IPAddress", "value": "10.0.0.9"}]
        bench.measured[("shop", "edge")] = Found(False, "NoResources")
        await bench.until(lambda: programmed()["reason"] == "NoResources")
        assert bench.status(kinds.GATEWAY, "edge")["addresses"] == []


async def test_addresses_that_nobody_measured_stay() -> None:
    async with running() as bench:
        await bench.api.create(kinds.GATEWAY, {**gateway(), "status": {"addresses": [{"value": "1.2.3.4"}]}})
        await bench.until(lambda: condition(bench.status(kinds.GATEWAY, "edge"), "Programmed"))
        assert bench.status(kinds.GATEWAY, "edge")["addresses"] == [{"value": "1.2.3.4"}]


async def test_a_burst_is_written_without_holding_the_loop() -> None:
    async with running() as bench:
        for number in range(300):
            await bench.api.create(kinds.VIRTUAL_SERVICE, virtual(f"v{number:03}"))
        worst = 0.0
        async with asyncio.timeout(20):
            while bench.writer.statistics.written < 300:
                before = asyncio.get_running_loop().time()
                await asyncio.sleep(0)
                worst = max(worst, asyncio.get_running_loop().time() - before)
        assert worst < 0.5
        assert await bench.quiet() == 300
