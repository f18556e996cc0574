"""The shell around every reconcile function: what wakes it, which keys run at once, what happens when a write fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from plait.base import aio
from plait.base.observe import logger
from plait.local.controllers.cluster import Cluster
from plait.local.controllers.workqueue import WorkQueue
from plait.local.controllers.writes import Outcome
from plait.resources.kinds import Kind
from plait.store.api import ApiError, Document
from plait.store.informer import Key, key_of

_log = logger("controllers")
Concerned = Callable[[Document], Iterable[Key]]
Reconcile = Callable[[Cluster, Key, float], Outcome]


@dataclass(frozen=True, slots=True)
class Controller:
    """`wakes`: for a changed document of a kind, the keys to look at. `reconcile` only reads caches and returns.

    `wakes_in` is the same for kinds where the answer needs the caches, `wakes_custom` for all kinds that CRDs bring.
    """

    name: str
    wakes: Mapping[Kind, Concerned]
    reconcile: Reconcile
    workers: int = 4
    wakes_in: Mapping[Kind, Callable[[Cluster, Document], Iterable[Key]]] = field(default_factory=dict)

    wakes_custom: Callable[[Cluster, Document], Iterable[Key]] | None = None

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return (*self.wakes, *self.wakes_in)


def itself(document: Document) -> list[Key]:
    """The usual `wakes` of the kind that a controller is about."""
    return [key_of(document)]


def managed_by(kind: Kind) -> Concerned:
    """The usual `wakes` of what a controller creates: its managing owner, if that is a `kind`."""

    def owner(document: Document) -> list[Key]:
        metadata = document["metadata"]
        return [
            (metadata.get("namespace", ""), reference["name"])
            for reference in metadata.get("ownerReferences") or ()
            if reference.get("controller") and reference.get("kind") == kind.kind
        ]

    return owner


async def run(controller: Controller, cluster: Cluster) -> None:
    """Work until cancelled."""
    queue: WorkQueue[Key] = WorkQueue()

    def listener(concerned: Concerned) -> Callable[[Document | None, Document | None], None]:
        def changed(old: Document | None, new: Document | None) -> None:
            for document in (old, new):
                for key in concerned(document) if document is not None else ():
                    queue.add(key)

        return changed

    for kind, concerned in controller.wakes.items():
        cluster[kind].on_change(listener(concerned))
    for kind, concerned_in in controller.wakes_in.items():
        cluster[kind].on_change(listener(partial(concerned_in, cluster)))
    if (concerned_custom := controller.wakes_custom) is not None:
        of_custom = listener(partial(concerned_custom, cluster))
        cluster.on_custom(lambda informer: informer.on_change(of_custom))
    for informer in cluster.informers.values():
        await informer.synced.wait()
    workers = [
        aio.spawn(_work(controller, cluster, queue), f"controller {controller.name} {number}")
        for number in range(controller.workers)
    ]
    try:
        await asyncio.gather(*workers)
    finally:
        queue.close()
        await aio.cancel(*workers)


async def _work(controller: Controller, cluster: Cluster, queue: WorkQueue[Key]) -> None:
    while True:
        key = await queue.get()
        try:
            outcome = controller.reconcile(cluster, key, aio.now())
            await cluster.write(outcome.writes)
        except (ApiError, OSError, TimeoutError) as error:
            conflict = isinstance(error, ApiError) and error.code == 409
            say = _log.debug if conflict else _log.warning
            say("will retry", controller=controller.name, object="/".join(key), error=repr(error))
            queue.failed(key)
        except Exception as error:  # a document of a shape nobody thought of must not end the controller
            _log.error("reconcile failed", controller=controller.name, object="/".join(key), exc_info=error)
            queue.failed(key)
        else:
            queue.succeeded(key)
            if outcome.again is not None:
                queue.add_after(key, outcome.again)
        finally:
            queue.done(key)
