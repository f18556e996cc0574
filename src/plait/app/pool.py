"""The pool of managed waypoints as it stands: its namespace, its operator's settings, and who has a place in it.

A place is taken before anything is made, by who comes first; what runs in the pool has one already, so neither a
restart nor a lowered quota takes it away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from plait.app.applying import MANAGER, Applier
from plait.base.observe import logger
from plait.base.wellknown import POOL_NAMESPACE, WARM, WARM_ACCOUNT
from plait.deploy import pool, pooled
from plait.deploy.pool import Pool
from plait.resources import kinds
from plait.store.api import Api, ApiError, Document
from plait.store.informer import Informer, Key

_log = logger("pool")


class Places:
    """`take` a place for a waypoint, `leave` it; `changed` is called when more may fit in than before."""

    def __init__(
        self,
        api: Api,
        config_maps: Informer,
        namespaces: Informer,
        deployments: Informer,
        activator: str,
        changed: Callable[[], None],
    ) -> None:
        self._api, self._namespaces, self._deployments, self._activator = api, namespaces, deployments, activator
        self._changed = changed
        self.settled = Pool()
        self._taken: dict[Key, int] = {}
        self._ready = False
        config_maps.on_change(self._config_map)
        deployments.on_change(self._deployment)

    async def make(self) -> None:
        """The namespace and its network policy; once."""
        if self._ready:
            return
        name = pool.CONFIG_MAP[0]
        if self._namespaces.get(name) is None:
            try:
                await self._api.create(kinds.NAMESPACE, pool.namespace())
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
        wanted = pool.network_policy(self._activator)
        try:
            await self._api.patch(
                pool.NETWORK_POLICY, wanted["metadata"]["name"], wanted, name, type="apply", manager=MANAGER, force=True
            )
        except ApiError as error:
            if error.code != 404:
                raise
            _log.info("this API server has no NetworkPolicies; the pool is kept apart by mutual TLS only")
        self._ready = True

    async def keep_warm(self, folder: str, applier: Applier) -> None:
        """As many proxies as are settled run for nobody; none is nothing at all."""
        there = self._deployments.cache.get((POOL_NAMESPACE, WARM_ACCOUNT))
        if self.settled.warm:
            await self.make()
            for each in pooled.warm(folder, self.settled):
                if why := await applier.apply(each):
                    _log.warning("no warm proxies", reason=why)
                    return
        elif there is not None and WARM in (there["metadata"].get("labels") or {}):
            await applier.delete([(kinds.DEPLOYMENT, there)])

    def take(self, key: Key, least: int) -> str:
        """Why there is no place for it, with the way out; "" when it has one."""
        known = self._running(key) or key in self._taken
        if not known and (why := pool.refused(key[0], self.settled.of(key[0]), self._others(key), least)):
            return why
        self._taken[key] = least
        return ""

    def leave(self, key: Key) -> None:
        if self._taken.pop(key, None) is not None:
            self._changed()

    def most(self, key: Key, least: int) -> int:
        """How many proxies it may grow to."""
        return pool.most(self.settled.of(key[0]), self._others(key), least)

    def _others(self, key: Key) -> dict[str, int]:
        """Of the same namespace: proxies by waypoint, as they run or are promised."""
        found: dict[str, int] = defaultdict(int)
        for each in self._pooled():
            owner = pooled.gateway(each)
            if owner is not None and owner[0] == key[0]:
                found[owner[1]] = int(each["spec"].get("replicas", 1))
        for (namespace, name), least in self._taken.items():
            if namespace == key[0]:
                found[name] = max(found[name], least)
        found.pop(key[1], None)
        return dict(found)

    def _running(self, key: Key) -> bool:
        return any(pooled.gateway(each) == key for each in self._pooled())

    def _pooled(self) -> Iterable[Document]:
        return (each for (namespace, _), each in self._deployments.cache.items() if namespace == pool.CONFIG_MAP[0])

    def _deployment(self, old: Document | None, new: Document | None) -> None:
        if new is None and old is not None and old["metadata"]["namespace"] == POOL_NAMESPACE:
            self._changed()

    def _config_map(self, old: Document | None, new: Document | None) -> None:
        document = new or old or {}
        metadata = document.get("metadata") or {}
        if (metadata.get("namespace"), metadata.get("name")) != pool.CONFIG_MAP:
            return
        read = pool.read(str((document.get("data") or {}).get(pool.KEY, ""))) if new is not None else Pool()
        if isinstance(read, str):
            _log.warning("the pool's settings stay as they were", config_map="/".join(pool.CONFIG_MAP), reason=read)
            return
        self.settled = read
        self._changed()
