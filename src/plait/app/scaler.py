"""Chooses the number of proxies of each waypoint that asks for it: looks once a second, decides (`scaling`), writes.

A waypoint that is put to sleep is marked at its Deployment, so that nobody's own `scale --replicas 0` is taken for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from plait.app.loads import Loads
from plait.base import aio
from plait.base.observe import logger
from plait.base.wellknown import ASLEEP
from plait.deploy import scaling
from plait.deploy.operation import Operation
from plait.deploy.scaling import Memory, Report
from plait.resources import kinds
from plait.store.api import Api, ApiError, Document
from plait.store.informer import Informer, Key

_EVERY, _AGAIN = 1.0, 0.05
_log = logger("scaler")


@dataclass(frozen=True, slots=True)
class Scaled:
    """One waypoint: how it is operated, and where its Deployment is."""

    operation: Operation
    namespace: str
    deployment: str


@dataclass(slots=True)
class _Known:
    reports: dict[str, Report] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    waking: asyncio.Task[None] | None = None


class Scaler:
    """`run` it; `wake(key)` when somebody calls a waypoint that sleeps. `busy`: how many wait for it; `served`: is
    somebody about to serve them, so that a start of its own would only take time from that?"""

    def __init__(
        self,
        api: Api,
        scaled: Callable[[], Mapping[Key, Scaled]],
        deployments: Informer,
        pods: Callable[[Key], list[Document]],
        loads: Loads,
        busy: Callable[[Key], int] = lambda key: 0,
        served: Callable[[Key], bool] = lambda key: False,
    ) -> None:
        self._api, self._scaled, self._deployments, self._pods = api, scaled, deployments, pods
        self._loads, self._busy, self._served = loads, busy, served
        self._known: dict[Key, _Known] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                await asyncio.sleep(_EVERY)
                scaled = self._scaled()
                for key in self._known.keys() - scaled.keys():
                    del self._known[key]
                await self._all(scaled)
        finally:
            await aio.cancel(*(each.waking for each in self._known.values()))
            await self._loads.close()

    async def _all(self, scaled: Mapping[Key, Scaled]) -> None:
        pods = {key: self._pods(key) for key in scaled}
        nodes = {pod["spec"]["nodeName"] for found in pods.values() for pod in found if pod["spec"].get("nodeName")}
        reports = await self._loads.of(sorted(nodes)) if nodes else {}
        for key, each in scaled.items():
            names = {f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pods[key]}
            try:
                await self._one(key, each, {name: reports[name] for name in names & reports.keys()})
            except (ApiError, OSError) as error:
                _log.warning("not scaled; tried again", waypoint="/".join(key), error=error)

    async def _one(self, key: Key, each: Scaled, reports: dict[str, Report]) -> None:
        deployment = self._deployments.cache.get((each.namespace, each.deployment))
        known = self._known.setdefault(key, _Known())
        if deployment is None:
            return
        replicas = int(deployment["spec"].get("replicas", 1))
        if replicas == 0 and _asleep(deployment) and not each.operation.sleeps:
            self.wake(key)
            return
        seen = scaling.load(known.reports, reports)
        if self._busy(key) or (replicas and not reports):  # what nobody could measure is not idle
            seen = scaling.used(seen)
        known.reports = reports
        wanted, known.memory = scaling.decide(each.operation, replicas, seen, known.memory, aio.now())
        if wanted != replicas:
            _log.info("scaled", waypoint="/".join(key), replicas=replicas, wanted=wanted, rps=round(seen.rps, 1))
            await self._write(each, wanted)

    def wake(self, key: Key) -> None:
        """Have a proxy run, unless one does or comes. Cheap: call it as often as you like."""
        each = self._scaled().get(key)
        deployment = self._deployments.cache.get((each.namespace, each.deployment)) if each is not None else None
        if each is None or deployment is None or deployment["spec"].get("replicas", 1):
            return
        known = self._known.setdefault(key, _Known())
        if known.waking is None or known.waking.done():
            known.waking = aio.spawn(self._waken(key, each, known), f"waking {'/'.join(key)}")

    async def _waken(self, key: Key, each: Scaled, known: _Known) -> None:
        while self._served(key):
            await asyncio.sleep(_AGAIN)
        known.memory = Memory(used_at=aio.now())
        try:
            await self._write(each, each.operation.least)
            _log.info("woken", waypoint="/".join(key))
        except (ApiError, OSError) as error:
            _log.warning("not woken; tried again", waypoint="/".join(key), error=error)
            await asyncio.sleep(0.1)

    async def _write(self, each: Scaled, replicas: int) -> None:
        mark = {"annotations": {ASLEEP: None if replicas else "true"}}
        body = {"metadata": mark, "spec": {"replicas": replicas}}
        await self._api.patch(kinds.DEPLOYMENT, each.deployment, body, each.namespace)


def _asleep(deployment: Document) -> bool:
    return (deployment["metadata"].get("annotations") or {}).get(ASLEEP) == "true"
