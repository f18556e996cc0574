"""The one way back: statuses of the Mesh, written to the objects' status over the API, within a second of a change.

A status is written only when it differs from what the informer shows, conditional on the version it was compared with,
so nothing is written twice and no other controller's word is lost. Compile does not read what we write (`essence`):
a write is no change of the world. At most `_AT_ONCE` requests are open, whatever changes; the rest waits as keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from plait.app import measured as measuring
from plait.app import merging, written_status
from plait.app.gathering import ISTIO_KINDS, Gathering, Statuses
from plait.app.measured import Measure, Measured
from plait.base import aio
from plait.base.observe import logger
from plait.local.controllers.times import stamp
from plait.local.controllers.workqueue import WorkQueue
from plait.model.mesh import Mesh
from plait.model.status import GatewayStatus
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.resources.objects import Objects
from plait.resources.problems import Problem
from plait.store.api import Api, ApiError, Document
from plait.store.informer import Informer, key_of

_ROUTES = (kinds.HTTP_ROUTE, kinds.GRPC_ROUTE, kinds.TLS_ROUTE, kinds.TCP_ROUTE, kinds.UDP_ROUTE)
_FIELDS: Mapping[Kind, Sequence[str]] = {
    **dict.fromkeys(ISTIO_KINDS, ("conditions", "validationMessages")),
    **dict.fromkeys(_ROUTES, ("parents",)),
    kinds.BACKEND_TLS_POLICY: ("ancestors",),
    kinds.LIMIT_POLICY: ("conditions",),
    kinds.GATEWAY_CLASS: ("conditions", "supportedFeatures"),
    kinds.GATEWAY: ("conditions", "listeners", "attachedListenerSets"),
    kinds.LISTENER_SET: ("conditions", "listeners"),
    kinds.SERVICE: ("conditions",),
}
"""Every kind whose status is written here, and the fields of it that are ours."""
_SHARED = (kinds.GATEWAY_CLASS, kinds.GATEWAY, kinds.LISTENER_SET)
"""Kinds whose objects are either ours or another controller's: without a status of ours they are left alone."""
_AT_ONCE = 8
_SETTLE = 0.02  # seconds before it is gathered: proxies are told first, and what changes together is written once
_MEASURE = 0.25  # seconds between two looks at the proxies
_log = logger("status")


class World(Protocol):
    """The pipeline, as far as statuses need it."""

    mesh: Mesh
    problems: tuple[Problem, ...]

    @property
    def leaving(self) -> Mapping[str, str]: ...

    @property
    def objects(self) -> Objects: ...

    @property
    def settled(self) -> bool: ...


@dataclass(slots=True)
class Statistics:
    written: int = 0
    conflicts: int = 0
    failures: int = 0


class StatusWriter:
    """Call `compiled` after every compile, and `run` it beside the informers."""

    def __init__(
        self,
        api: Api,
        world: World,
        informers: Mapping[Kind, Informer],
        *,
        measured: Measure = measuring.nothing,
        now: Callable[[], float] = aio.now,
    ) -> None:
        self.statistics = Statistics()
        self._api, self._world, self._measure, self._now = api, world, measured, now
        self._informers = {kind: informer for kind, informer in informers.items() if kind in _FIELDS}
        self._queue: WorkQueue[str] = WorkQueue()
        self._gathering = Gathering()
        self._statuses: Statuses = {}
        self._measured: Mapping[tuple[str, str], Measured] = {}
        self._news, self._gathered = asyncio.Event(), asyncio.Event()
        self._current = False
        for kind, informer in self._informers.items():
            informer.on_change(self._touched(kind))

    def compiled(self) -> None:
        """There may be other statuses now."""
        self._current = False
        self._news.set()

    async def run(self) -> None:
        """Write until cancelled."""
        workers = [aio.spawn(self._work(), f"status writer {number}") for number in range(_AT_ONCE)]
        try:
            while True:
                await self._wait()
                await asyncio.sleep(_SETTLE)
                if self._world.settled:
                    self._gather()
                    self._gathered.set()
                    self._gathered = asyncio.Event()
        finally:
            await aio.cancel(*workers)
            self._queue.close()

    async def _wait(self) -> None:
        """Until something was compiled, or it is time to look at the proxies again."""
        try:
            async with asyncio.timeout(_MEASURE):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    def _gather(self) -> None:
        """Note every object whose status is another than before."""
        self._current = True
        before, self._statuses = (
            self._statuses,
            self._gathering.of(self._world.objects, self._world.mesh, self._world.problems, self._world.leaving),
        )
        if before is not self._statuses:
            for key in {**before, **self._statuses}:
                if before.get(key) != self._statuses.get(key):
                    self._queue.add(key)
        old, self._measured = self._measured, dict(self._measure())
        for name in {**old, **self._measured}:
            if _said(old.get(name)) != _said(self._measured.get(name)):
                self._queue.add(_key(kinds.GATEWAY, *name))
                for each in self._sets_of(name):
                    self._queue.add(_key(kinds.LISTENER_SET, *each))

    def _touched(self, kind: Kind) -> Callable[[Document | None, Document | None], None]:
        def changed(old: Document | None, new: Document | None) -> None:
            if new is not None:
                self._queue.add(_key(kind, *key_of(new)))

        return changed

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                while not (self._current and self._world.settled):  # what is known may be older than the object
                    await self._gathered.wait()
                await self._write(key)
                self._queue.succeeded(key)
            except ApiError as error:
                self._refused(key, error)
            except OSError as error:  # the API server is away
                self.statistics.failures += 1
                self._queue.failed(key)
                _log.debug("status waits", object=key, error=repr(error))
            finally:
                self._queue.done(key)
            await asyncio.sleep(0)  # a thousand keys with nothing to write must not hold the loop

    def _refused(self, key: str, error: ApiError) -> None:
        if error.code == 404:
            return  # the object has gone; should it come back, the informer says so
        if error.code == 409:
            self.statistics.conflicts += 1
        else:
            self.statistics.failures += 1
            _log.warning("status refused", object=key, code=error.code, error=error)
        self._queue.failed(key)

    async def _write(self, key: str) -> None:
        kind, namespace, name = written_status.named(key)
        informer = self._informers.get(kind)
        document = informer.get(name, namespace) if informer is not None else None
        if document is None or (key not in self._statuses and kind in _SHARED):
            return
        wanted, fields = self._wanted(key, kind, document)
        body = merging.patch(document.get("status") or {}, wanted, fields, stamp(self._now()))
        if body:
            version = {"resourceVersion": document["metadata"]["resourceVersion"]}
            patch = {"metadata": version, "status": body}
            await self._api.patch(kind, name, patch, namespace, subresource="status", manager="plait-status")
            self.statistics.written += 1

    def _wanted(self, key: str, kind: Kind, document: Document) -> tuple[Document, Sequence[str]]:
        """What the status should say, and the fields in which it says it."""
        status, fields = self._statuses.get(key), _FIELDS[kind]
        if status is None:
            return {}, fields
        namespace, name = key_of(document)
        found = None
        if isinstance(status, GatewayStatus):
            found = self._measured.get(self._gateway(kind, namespace, name))
            status = measuring.programmed(status, found)
        generation = document["metadata"].get("generation", 0)
        wanted = written_status.status_of(kind, namespace, status, generation, self._world.objects)
        if kind is kinds.GATEWAY and found is not None:
            return {**wanted, "addresses": measuring.addresses(found)}, (*fields, "addresses")
        return wanted, fields

    def _gateway(self, kind: Kind, namespace: str, name: str) -> tuple[str, str]:
        """The Gateway whose proxies serve these listeners."""
        if kind is kinds.GATEWAY:
            return namespace, name
        each = self._world.objects.of(kinds.LISTENER_SET).get((namespace, name))
        named = each.spec.parent_ref.named(namespace) if each is not None else None
        return named or (namespace, name)

    def _sets_of(self, gateway: tuple[str, str]) -> list[tuple[str, str]]:
        sets = self._world.objects.of(kinds.LISTENER_SET)
        return [name for name in sets if self._gateway(kinds.LISTENER_SET, *name) == gateway]


def _key(kind: Kind, namespace: str, name: str) -> str:
    return f"{kind}/{namespace}/{name}"


def _said(found: Measured | None) -> tuple[object, ...] | None:
    return None if found is None else (tuple(found.addresses), found.programmed, found.reason, found.message)
