"""Warm proxies: an Envoy that runs already is given to a waypoint, which so need not wait for one to start.

It serves until the waypoint's own Deployment has a ready pod, then it goes and is never given to another. Until it is
claimed it has no certificate and no configuration; whose it may be stands on the waypoint's account, where no node can
write. It becomes ready by a gate that is opened here, when it accepts connections.

One Envoy starts at a time, for its start is CPU time: first the claimed one is told what to do and answers who waited,
then the waypoint's own starts, and only when that has relieved it the next warm one.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

from plait.base import aio
from plait.base.observe import logger
from plait.base.wellknown import CLAIMED, HBONE_PORT, POOL_NAMESPACE, SERVING, WARM
from plait.resources import kinds
from plait.store.api import Api, ApiError, Document
from plait.store.informer import Informer, Key

_log = logger("warm")
PATIENCE = 5.0
"""Seconds a claimed proxy has to serve before its waypoint goes on without it."""
BREATH = 0.5
"""Seconds from its serving until another proxy may be started: those who waited are answered first."""
_AGAIN, _ATTEMPT = 0.005, 0.5


class Warm:
    """`call` for one, `take` it, `follow` it, and `relieve` it when it has served.

    `deployment` is a waypoint's own; `again` has a waypoint looked at after some seconds.
    """

    def __init__(
        self,
        api: Api,
        pods: Informer,
        deployment: Callable[[Key], Document | None],
        again: Callable[[Key, float], None],
    ) -> None:
        self._api, self._pods, self._deployment, self._again = api, pods, deployment, again
        self._called: set[Key] = set()
        """Waypoints that somebody waits for."""
        self._first: dict[Key, float] = {}
        """Until when a waypoint's warm proxy comes before any other."""
        self._taken: set[str] = set()
        self._began: dict[str, float] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}

    def call(self, key: Key) -> bool:
        """Somebody waits for the waypoint. True once, when there is one that it could claim."""
        if key in self._called or self._free() is None:
            return False
        self._called.add(key)
        self._first[key] = aio.now() + PATIENCE
        return True

    def called(self, key: Key) -> bool:
        return key in self._called

    def forget(self, key: Key) -> None:
        """Nobody waits for it any longer, or there is none for it."""
        self._called.discard(key)
        self._first.pop(key, None)

    def first(self, key: Key) -> bool:
        """Is it to serve before one of the waypoint's own is started, which would take time from it?"""
        return aio.now() < self._first.get(key, 0.0)

    async def take(
        self, key: Key, prepare: Callable[[str], Awaitable[object]], labels: Mapping[str, str]
    ) -> Document | None:
        """A warm proxy, by now the waypoint's; None when there is none. `prepare(uid)` is done before it is told."""
        while (pod := self._free()) is not None:
            metadata = pod["metadata"]
            self._taken.add(metadata["uid"])
            self._first[key] = aio.now() + PATIENCE
            await prepare(metadata["uid"])
            body = {"metadata": {"labels": dict(labels), "resourceVersion": metadata["resourceVersion"]}}
            try:
                return await self._api.patch(kinds.POD, metadata["name"], body, POOL_NAMESPACE)
            except ApiError as error:
                if error.code not in (404, 409):
                    raise
                self._taken.discard(metadata["uid"])
        self.forget(key)
        return None

    def follow(self, key: Key, claimed: Iterable[Document]) -> None:
        """Have each ready as soon as it serves."""
        for pod in claimed:
            uid = pod["metadata"]["uid"]
            if uid not in self._began:
                self._began[uid] = aio.now()
                self._first[key] = aio.now() + PATIENCE
                self._again(key, PATIENCE)
            if serves(pod) and self._first.get(key, 0.0) > aio.now() + BREATH:
                self._serves(key)
            if uid not in self._watching and WARM in (pod["metadata"].get("labels") or {}):
                self._watching[uid] = task = aio.spawn(self._watch(key, pod), f"claimed {pod['metadata']['name']}")
                task.add_done_callback(partial(self._watching.pop, uid))

    async def relieve(self, key: Key, claimed: list[Document]) -> None:
        """It goes when the Deployment has one that serves, or when the waypoint went to sleep again."""
        own = self._deployment(key) or {"spec": {}}
        ready = int((own.get("status") or {}).get("readyReplicas") or 0)
        if ready or any(map(serves, claimed)):
            self._called.discard(key)
        asleep = own["spec"].get("replicas", 1) == 0
        if claimed and (ready or (asleep and self._age(claimed[0]) >= 2 * PATIENCE)):
            await self.drop(claimed)
        elif claimed and asleep:  # or is just being woken
            self._again(key, PATIENCE)

    def _free(self) -> Document | None:
        """One that could be claimed."""
        for (namespace, _), pod in self._pods.cache.items():
            if namespace == POOL_NAMESPACE and pod["metadata"]["uid"] not in self._taken and _is_free(pod):
                return pod
        return None

    def _age(self, pod: Document) -> float:
        """Seconds since it was first seen as claimed."""
        return aio.now() - self._began.get(pod["metadata"]["uid"], aio.now())

    def _serves(self, key: Key) -> None:
        """Who waited is answered now."""
        self._first[key] = aio.now() + BREATH
        self._again(key, BREATH)

    async def drop(self, pods: Iterable[Document]) -> None:
        """Their waypoint needs them no longer."""
        for pod in pods:
            metadata = pod["metadata"]
            try:
                await self._api.delete(kinds.POD, metadata["name"], POOL_NAMESPACE, uid=metadata["uid"])
            except ApiError as error:
                if error.code not in (404, 409):
                    raise
            self._taken.discard(metadata["uid"])
            self._began.pop(metadata["uid"], None)
            if (watching := self._watching.get(metadata["uid"])) is not None:
                watching.cancel()

    async def close(self) -> None:
        await aio.cancel(*self._watching.values())

    async def _watch(self, key: Key, pod: Document) -> None:
        """Open its gate. Where the waypoint's own is long in coming another warm one is made without waiting for it."""
        name = pod["metadata"]["name"]
        try:
            if not _condition(pod, SERVING):
                async with asyncio.timeout(PATIENCE):
                    while not await _accepts(str(pod["status"]["podIP"])):
                        await asyncio.sleep(_AGAIN)
                self._serves(key)
                gate = {"type": SERVING, "status": "True", "reason": "Serves"}
                body = {"status": {"conditions": [gate]}}
                await self._api.patch(kinds.POD, name, body, POOL_NAMESPACE, subresource="status", type="strategic")
            await asyncio.sleep(PATIENCE)
            await self._api.patch(kinds.POD, name, {"metadata": {"labels": {WARM: None}}}, POOL_NAMESPACE)
        except TimeoutError:
            _log.warning("a claimed proxy does not serve; its waypoint starts one of its own", pod=name)
        except (ApiError, OSError) as error:
            _log.warning("a claimed proxy is not made ready", pod=name, error=error)


def claimed(pods: Iterable[Document]) -> list[Document]:
    """Of a waypoint's pods, those that were warm."""
    return [pod for pod in pods if CLAIMED in (pod["metadata"].get("labels") or {}) and not _is_going(pod)]


def serves(pod: Document) -> bool:
    return _condition(pod, "Ready")


def _is_free(pod: Document) -> bool:
    """It has begun: everything is ready but the gate."""
    labels = pod["metadata"].get("labels") or {}
    own = WARM in labels and CLAIMED not in labels
    return own and not _is_going(pod) and _condition(pod, "ContainersReady")


def _is_going(pod: Document) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _condition(pod: Document, kind: str) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any((each["type"], each["status"]) == (kind, "True") for each in conditions)


async def _accepts(address: str) -> bool:
    tried = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    tried.setblocking(False)
    with tried:
        try:
            async with asyncio.timeout(_ATTEMPT):
                await asyncio.get_running_loop().sock_connect(tried, (address, HBONE_PORT))
        except (OSError, TimeoutError):
            return False
    return True
