"""Kubernetes Events: how one is written down, and which are old enough (1 h) to be dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from hashlib import blake2b

from plait.base import aio
from plait.base.observe import logger
from plait.local.controllers.times import seconds, stamp
from plait.local.controllers.writes import Delete, Emit, remove
from plait.resources.kinds import EVENT
from plait.store.api import Api, ApiError, Document

TTL = 3600.0
_SWEEP = 60.0
_log = logger("controllers.events")


def event_document(emit: Emit, now: float) -> Document:
    """The core/v1 Event. Its name is a digest of what it says, so that a repetition finds its first telling."""
    about = emit.about["metadata"]
    said = "\0".join((about.get("uid", ""), emit.reason, emit.message, emit.source, emit.type))
    namespace = about.get("namespace", "")
    regarding = {
        "apiVersion": emit.about.get("apiVersion", ""),
        "kind": emit.about.get("kind", ""),
        "name": about["name"],
        "uid": about.get("uid", ""),
        "resourceVersion": about.get("resourceVersion", ""),
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{about['name']}.{blake2b(said.encode(), digest_size=8).hexdigest()}",
            "namespace": namespace or "default",
        },
        "involvedObject": {**regarding, "namespace": namespace} if namespace else regarding,
        "reason": emit.reason,
        "message": emit.message,
        "type": emit.type,
        "source": {"component": emit.source},
        "reportingComponent": emit.source,
        "reportingInstance": "",
        "firstTimestamp": stamp(now),
        "lastTimestamp": stamp(now),
        "count": 1,
    }


def expired(events: Iterable[Document], now: float) -> list[Delete]:
    """Deletes of the events last told more than TTL ago."""
    return [remove(EVENT, event) for event in events if now - _last_told(event, now) > TTL]


def _last_told(event: Document, now: float) -> float:
    series = event.get("series") or {}
    for moment in (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    ):
        if moment:
            return seconds(moment, now)
    return now


async def run(api: Api) -> None:
    """Drop old events once a minute, until cancelled."""
    while True:
        try:
            events, _ = await api.list(EVENT)
            for write in expired(events, aio.now()):
                await api.delete(EVENT, write.name, write.namespace, uid=write.uid)
        except (ApiError, OSError) as error:
            _log.debug("could not drop old events", error=error)
        await asyncio.sleep(_SWEEP)
