"""Kubernetes Events told by the kubelet: one object for each thing said, repeated sayings counted, never in the way."""

from __future__ import annotations

import asyncio
from hashlib import blake2b

from plait.base import aio
from plait.base.observe import logger
from plait.local.pod.status import stamp
from plait.resources.kinds import EVENT
from plait.store.api import Api, ApiError, Document

_log = logger("kubelet.events")
_QUEUE = 500


class EventRecorder:
    """`tell` at any time; `run()` writes. When the queue is full the newest event is dropped."""

    def __init__(self, api: Api, node: str) -> None:
        self._api, self._node = api, node
        self._queue: asyncio.Queue[Document] = asyncio.Queue(_QUEUE)
        self._counts: dict[str, int] = {}

    def tell(self, about: Document, type: str, reason: str, message: str) -> None:
        metadata, moment = about["metadata"], stamp(aio.now())
        said = "\0".join((metadata.get("uid", ""), type, reason, message))
        event: Document = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{metadata['name']}.{blake2b(said.encode(), digest_size=8).hexdigest()}",
                "namespace": metadata.get("namespace", "default"),
            },
            "involvedObject": {
                "apiVersion": "v1",
                "kind": about.get("kind", "Pod"),
                "name": metadata["name"],
                "namespace": metadata.get("namespace", ""),
                "uid": metadata.get("uid", ""),
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "type": type,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": "kubelet", "host": self._node},
            "reportingComponent": "kubelet",
            "reportingInstance": self._node,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            _log.debug("event dropped", reason=reason)

    async def run(self) -> None:
        while True:
            event = await self._queue.get()
            name, namespace = event["metadata"]["name"], event["metadata"]["namespace"]
            count = self._counts[name] = self._counts.get(name, 0) + 1
            if len(self._counts) > 5000:
                self._counts.clear()
            try:
                if count == 1:
                    await self._api.create(EVENT, event, namespace)
                else:
                    body = {"count": count, "lastTimestamp": event["lastTimestamp"]}
                    await self._api.patch(EVENT, name, body, namespace)
            except (ApiError, OSError) as error:
                _log.debug("event not written", name=name, error=repr(error))
