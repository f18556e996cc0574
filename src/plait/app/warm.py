"""Warm proxies: an Envoy that runs already is given to a waypoint, which so need not wait for one to start.

It serves until the waypoint's own Deployment has a ready pod, then it goes and is never given to another. Until it is
claimed it has no certificate and no configuration; whose it may be stands on the waypoint's account, where no node can
write. It becomes ready by a gate that is opened here, when it accepts connections.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Mapping

from plait.base import aio
from plait.base.observe import logger
from plait.base.wellknown import CLAIMED, HBONE_PORT, POOL_NAMESPACE, SERVING, WARM
from plait.resources import kinds
from plait.store.api import Api, ApiError, Document
from plait.store.informer import Informer, Key

_log = logger("warm")
PATIENCE = 5.0
"""Seconds a claimed proxy has to serve before its waypoint goes on without it."""
_AGAIN, _ATTEMPT = 0.005, 0.5


class Warm:
    """`next` one, `take` it, and `relieve` it when it has served. `called` are waypoints that somebody waits for.

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
        self.called: set[Key] = set()
        self._taken: set[str] = set()
        self._began: dict[str, float] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}

    def next(self) -> Document | None:
        """One that could be claimed; it counts as taken from now on."""
        for (namespace, _), pod in self._pods.cache.items():
            uid = pod["metadata"]["uid"]
            if namespace == POOL_NAMESPACE and uid not in self._taken and _is_free(pod):
                self._taken.add(uid)
                return pod
        return None

    async def take(self, pod: Document, labels: Mapping[str, str]) -> Document | None:
        """The pod as its waypoint's; None when it changed meanwhile."""
        metadata = pod["metadata"]
        body = {"metadata": {"labels": dict(labels), "resourceVersion": metadata["resourceVersion"]}}
        try:
            return await self._api.patch(kinds.POD, metadata["name"], body, POOL_NAMESPACE)
        except ApiError as error:
            if error.code not in (404, 409):
                raise
            self._taken.discard(metadata["uid"])
            return None

    def first(self, key: Key, claimed: list[Document]) -> bool:
        """Is it to serve before one of the waypoint's own is started, which would take time from it?"""
        if not claimed or self._deployment(key) is not None or serves(claimed[0]):
            return False
        self._again(key, PATIENCE)
        return self._age(claimed[0]) < PATIENCE

    async def relieve(self, key: Key, claimed: list[Document]) -> None:
        """It goes when the Deployment has one that serves, or when the waypoint went to sleep again."""
        for each in claimed:
            self._watch(each)
        own = self._deployment(key) or {"spec": {}}
        ready = int((own.get("status") or {}).get("readyReplicas") or 0)
        if ready or any(map(serves, claimed)):
            self.called.discard(key)
        asleep = own["spec"].get("replicas", 1) == 0
        if claimed and (ready or (asleep and self._age(claimed[0]) >= PATIENCE)):
            await self.drop(claimed)
        elif claimed and asleep:  # or is just being woken
            self._again(key, PATIENCE)

    def _age(self, pod: Document) -> float:
        """Seconds since it was first seen as claimed."""
        return aio.now() - self._began.setdefault(pod["metadata"]["uid"], aio.now())

    def _watch(self, pod: Document) -> None:
        """Have it ready as soon as it serves."""
        uid = pod["metadata"]["uid"]
        if uid not in self._watching and not _condition(pod, SERVING):
            self._watching[uid] = task = aio.spawn(self._opened(pod), f"claimed proxy {pod['metadata']['name']}")
            task.add_done_callback(lambda _: self._watching.pop(uid, None))

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

    async def close(self) -> None:
        await aio.cancel(*self._watching.values())

    async def _opened(self, pod: Document) -> None:
        name = pod["metadata"]["name"]
        try:
            async with asyncio.timeout(PATIENCE):
                while not await _accepts(str(pod["status"]["podIP"])):
                    await asyncio.sleep(_AGAIN)
            gate = {"type": SERVING, "status": "True", "reason": "Serves"}
            body = {"status": {"conditions": [gate]}}
            await self._api.patch(kinds.POD, name, body, POOL_NAMESPACE, subresource="status", type="strategic")
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
