"""Where the time of a waypoint's start goes: the moments at which each part of the chain was done.

Told by watches of the API, as any client sees them, and by the files of the proxy's folder, whose times the kernel
writes. The moments are those at which somebody else could know, so each stretch holds the telling too.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from plait.base import aio, wellknown
from plait.deploy.measured import any_ready
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import Api, Document
from plait.store.informer import Informer
from plait.trial.scene import ready

STRETCHES: Final = {
    "deployment": "the controller of Gateways: Deployment there",
    "replicaset": "the controller of Deployments: ReplicaSet there",
    "pod": "the controller of ReplicaSets: Pod there",
    "bound": "the scheduler: Pod bound to a node",
    "folder": "kubelet: Pod seen, namespace and address made",
    "companion": "node agent: folder filled, its stream served",
    "begun": "container made, Envoy begun",
    "ready": "Envoy configured, Pod ready",
    "endpoint": "EndpointSlice says so",
    "answered": "clients told: the first answer",
}
"""By the moment that ends each, in order."""
_FILES: Final = {"folder": "bootstrap.json", "companion": "metrics.sock", "begun": "admin.sock"}
Moments = Mapping[str, float]
"""Seconds of `time.perf_counter` by the names of STRETCHES, and `written`."""


class Following:
    """Notes when each moment was first seen in one namespace, for the Gateway `name`."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._name = name
        self.moments: dict[str, float] = {}
        self.uid = ""
        self._informers = [Informer(api, kind, namespace) for kind in _WATCHED]
        for informer in self._informers:
            informer.on_change(self._noting(informer.kind))

    async def run(self) -> None:
        await asyncio.gather(*(each.run() for each in self._informers))

    async def synced(self) -> None:
        for each in self._informers:
            await each.synced.wait()

    def _noting(self, kind: Kind) -> Callable[[Document | None, Document | None], None]:
        def changed(_: Document | None, new: Document | None) -> None:
            if new is None or self._name not in _belongs_to(new):
                return
            for moment in _WATCHED[kind](new):
                self.moments.setdefault(moment, time.perf_counter())
            if kind is kinds.POD:
                self.uid = new["metadata"]["uid"]

        return changed


def _belongs_to(document: Document) -> tuple[str, ...]:
    labels = document["metadata"].get("labels") or {}
    return tuple(labels[key] for key in (wellknown.GATEWAY_NAME, "kubernetes.io/service-name") if key in labels)


def _pod(document: Document) -> Iterator[str]:
    yield "pod"
    if document["spec"].get("nodeName"):
        yield "bound"
    if ready(document):
        yield "ready"


def _endpoints(document: Document) -> Iterator[str]:
    if document.get("endpoints") and any_ready([document]):
        yield "endpoint"


_WATCHED: Final[dict[Kind, Callable[[Document], Iterator[str]]]] = {
    kinds.DEPLOYMENT: lambda _: iter(("deployment",)),
    kinds.REPLICA_SET: lambda _: iter(("replicaset",)),
    kinds.POD: _pod,
    kinds.ENDPOINT_SLICE: _endpoints,
}


@asynccontextmanager
async def followed(api: Api, namespace: str, name: str) -> AsyncIterator[Following]:
    """A `Following` that works within the block; it knows what is there already."""
    found = Following(api, namespace, name)
    task = aio.spawn(found.run(), "following a cold start")
    try:
        await found.synced()
        yield found
    finally:
        await aio.cancel(task)


def of_files(folder: Path) -> dict[str, float]:
    """Moments that the files of a proxy's folder tell."""
    ahead = aio.now() - time.perf_counter()
    return {
        moment: (folder / name).stat().st_mtime - ahead for moment, name in _FILES.items() if (folder / name).exists()
    }


def stretches(moments: Moments) -> dict[str, float]:
    """Seconds of each stretch. A moment nobody saw adds its stretch to the next; one seen late counts as at once."""
    found: dict[str, float] = {}
    last = moments["written"]
    for name in STRETCHES:
        if name in moments:
            found[name] = max(0.0, moments[name] - last)
            last = max(last, moments[name])
    return found


def summary(rounds: Sequence[Moments]) -> list[Document]:
    """A row for each stretch: the median of the rounds, and its bounds."""
    each = [stretches(moments) for moments in rounds]
    rows = []
    for name, saying in STRETCHES.items():
        if values := [found[name] * 1e3 for found in each if name in found]:
            low, high = min(values), max(values)
            rows.append({"stretch": saying, "ms": f"{statistics.median(values):.0f} ({low:.0f}–{high:.0f})"})
    return rows
