"""The gateway controller over the embedded API server, with the local runtime's controllers and without a kubelet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from kit import apiserver
from kit import documents as d
from kit import gateways as g
from plait.app.activator import Activator
from plait.app.gateway_controller import GatewayController
from plait.app.gateway_reading import POD_INDEX, READ, SERVICE_INDEX, pod_gateway, slice_service
from plait.base import aio
from plait.deploy.measured import Measured
from plait.local import controllers
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import ApiError
from plait.store.client import HttpApi
from plait.store.informer import Informer

Document = dict[str, Any]


@dataclass(slots=True)
class World:
    api: HttpApi
    controller: GatewayController

    async def until(self, holds: Callable[[], Any], what: str) -> None:
        """`holds` may be a coroutine function; an ApiError is a no."""
        async with asyncio.timeout(20):
            while True:
                try:
                    answer = holds()
                    if await answer if asyncio.iscoroutine(answer) else answer:
                        return
                except ApiError:
                    pass
                await asyncio.sleep(0.02)

    async def there(self, kind: Kind, name: str = "waypoint") -> bool:
        return bool(await self.api.get(kind, name, "shop"))

    async def absent(self, kind: Kind, name: str = "waypoint") -> bool:
        try:
            await self.api.get(kind, name, "shop")
        except ApiError as error:
            return error.code == 404
        return False

    async def versions(self) -> list[str]:
        found = [await self.api.list(kind, "shop") for kind in (kinds.DEPLOYMENT, kinds.SERVICE, kinds.SERVICE_ACCOUNT)]
        return [each["metadata"]["resourceVersion"] for items, _ in found for each in items]

    async def made(self, name: str = "waypoint") -> None:
        for kind in (kinds.SERVICE_ACCOUNT, kinds.SERVICE, kinds.DEPLOYMENT):
            await self.until(lambda kind=kind: self.there(kind, name), f"{kind} {name}")

    def measured(self, name: str = "waypoint") -> Measured | None:
        return self.controller.measured().get(("shop", name))

    async def quiet(self) -> None:
        """Nothing more is written: the controller has looked at its own writes and found them good."""
        before = -1
        while before != self.controller.writes:
            before = self.controller.writes
            await asyncio.sleep(0.3)


@asynccontextmanager
async def controlling(api: HttpApi) -> AsyncIterator[World]:
    indexers = {kinds.ENDPOINT_SLICE: {SERVICE_INDEX: slice_service}, kinds.POD: {POD_INDEX: pod_gateway}}
    informers = {kind: Informer(api, kind, indexers=indexers.get(kind, {})) for kind in READ}
    activator = Activator("127.0.0.1", lambda key: None, lambda key: ())
    controller = GatewayController(api, informers, "/proxies", activator)
    tasks = [aio.spawn(each.run(), f"informer {kind}") for kind, each in informers.items()]
    tasks.append(aio.spawn(controller.run(), "gateways"))
    try:
        yield World(api, controller)
    finally:
        await aio.cancel(*tasks)
        await activator.close()


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async with apiserver.running() as cluster:
        local = aio.spawn(controllers.run(cluster.local, apiserver.PLAN, root_ca=b"ca"), "local controllers")
        try:
            await cluster.http.create(kinds.NAMESPACE, d.document("v1", "Namespace", "shop", ""))
            async with controlling(cluster.http) as found:
                yield found
        finally:
            await aio.cancel(local)


def written(document: Document) -> Document:
    """Without the uid that only unit tests give."""
    metadata = {name: value for name, value in document["metadata"].items() if name != "uid"}
    return {**document, "metadata": metadata}


def operated(**annotations: str) -> Document:
    said = {f"plait.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return written(g.waypoint(spec={"infrastructure": {"annotations": said}}))
