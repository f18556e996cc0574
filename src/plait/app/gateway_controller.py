"""Gateways appear, change and go: what `deploy` wants for each is applied, what it no longer wants is deleted.

Nothing is written when nothing differs, so it may be killed and started at any time. It never touches an object that
belongs to somebody else. Statuses are not written here: `measured` says what the status writer is to tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from plait.app import warm
from plait.app.activator import Activator
from plait.app.applying import Applier
from plait.app.gateway_concerns import Concerns
from plait.app.gateway_failures import NO_ROOM, Failures
from plait.app.gateway_reading import (
    MADE_INDEXERS,
    POD_INDEX,
    READ,
    SERVICE_INDEX,
    known,
    of_pool,
    planned,
    seen,
    wished,
)
from plait.app.parameters import merge
from plait.app.pool import Places
from plait.app.scaler import Scaled
from plait.app.warm import Warm
from plait.base import aio
from plait.base.observe import logger
from plait.base.wellknown import CLAIMED, DEFAULT_ROOT_NAMESPACE, MANAGED, POOL_NAMESPACE
from plait.deploy import classes as built
from plait.deploy import desired, pooled
from plait.deploy.measured import Measured, measured
from plait.deploy.operation import Operation
from plait.deploy.overlays import Refused
from plait.deploy.plans import Plan
from plait.local.controllers.controller import Concerned, managed_by
from plait.local.controllers.workqueue import WorkQueue
from plait.model import pool as naming
from plait.resources import kinds
from plait.resources.decode import decode
from plait.resources.gateway_api.gateway import Gateway
from plait.resources.kinds import Kind
from plait.store.api import Api, ApiError, Document
from plait.store.informer import Informer, Key, key_of
from plait.store.patch import PatchError

_WRITTEN = (kinds.SERVICE_ACCOUNT, kinds.SERVICE, kinds.DEPLOYMENT, kinds.ENDPOINT_SLICE)
_WORKERS = 4
_AGAIN = 5.0  # seconds
_WARM: Key = ("", "")
"""Stands for the warm proxies in the queue."""
_log = logger("gateways")


class GatewayController:
    """`run` it beside the informers it was given; `folder` holds the folders of all proxies of a node."""

    def __init__(
        self,
        api: Api,
        informers: Mapping[Kind, Informer],
        folder: str,
        activator: Activator | None = None,
        root_namespace: str = DEFAULT_ROOT_NAMESPACE,
    ) -> None:
        self._api, self._folder, self._activator, self._root = api, folder, activator, root_namespace
        self._informers = {kind: informers[kind] for kind in READ}
        self._made = {kind: Informer(api, kind, labels=MANAGED, indexers=MADE_INDEXERS) for kind in _WRITTEN}
        self._queue: WorkQueue[Key] = WorkQueue()
        self._plans: dict[Key, Plan] = {}
        self._operations: dict[Key, Operation] = {}
        self._failures = Failures(api)
        self._places = Places(
            api,
            informers[kinds.CONFIG_MAP],
            informers[kinds.NAMESPACE],
            self._made[kinds.DEPLOYMENT],
            activator.address if activator is not None else "",
            self._waiting,
        )
        self._applier = Applier(api, self._made)
        self._warm = Warm(api, informers[kinds.POD], self._deployment, self._queue.add_after)
        self._built_in = built.built_in()
        concerns = Concerns(informers[kinds.GATEWAY], self._built_in, root_namespace)
        for kind, concerned in concerns.by_kind().items():
            self._informers[kind].on_change(self._waking(concerned))
        for informer in self._made.values():
            informer.on_change(self._waking(managed_by(kinds.GATEWAY)))
            informer.on_change(self._waking(of_pool))

    async def run(self) -> None:
        """Work until cancelled."""
        following = [aio.spawn(each.run(), f"informer {kind} of gateways") for kind, each in self._made.items()]
        workers: list[asyncio.Task[None]] = []
        try:
            for informer in (*self._informers.values(), *self._made.values()):
                await informer.synced.wait()
            for name in self._built_in:
                self._queue.add(("", name))
            self._queue.add(_WARM)
            workers += [aio.spawn(self._work(), f"gateways {number}") for number in range(_WORKERS)]
            await asyncio.gather(*workers)
        finally:
            await aio.cancel(*workers, *following)
            await self._warm.close()
            self._queue.close()

    def measured(self) -> Mapping[Key, Measured]:
        """Every Gateway of ours: where it is reached, and whether its proxies serve."""
        services, slices = self._informers[kinds.SERVICE], self._informers[kinds.ENDPOINT_SLICE]
        return {
            key: measured(
                plan,
                services.cache.get,
                lambda name: slices.indexed(SERVICE_INDEX, "/".join(name)),
                self._failures.of(key),
            )
            for key, plan in self._plans.items()
        }

    def scaled(self) -> Mapping[Key, Scaled]:
        """Waypoints whose number of proxies is ours to choose."""
        return {
            key: self._scaled(key, operation)
            for key, operation in self._operations.items()
            if operation.scaled and key in self._plans and self._plans[key].managed
        }

    def called(self, key: Key) -> None:
        """Somebody calls a waypoint that sleeps: a warm proxy would be there sooner than its own. Cheap."""
        said = self._operations.get(key)
        if said is not None and said.placement == "managed" and self._warm.call(key):
            self._queue.add(key)

    def warm_first(self, key: Key) -> bool:
        """Is a warm proxy to serve before one of the waypoint's own is started?"""
        return self._warm.first(key)

    def claim(self, account: str) -> str:
        """The UID of the warm proxy that may use this account of the pool, "" none."""
        found = self._applier.known(kinds.SERVICE_ACCOUNT, (POOL_NAMESPACE, account)) or {"metadata": {}}
        return str((found["metadata"].get("annotations") or {}).get(CLAIMED, ""))

    def _scaled(self, key: Key, said: Operation) -> Scaled:
        if said.placement != "managed":
            return Scaled(said, key[0], self._plans[key].names.workload)
        return Scaled(replace(said, most=self._most(key, said)), POOL_NAMESPACE, naming.account(*key))

    def _most(self, key: Key, said: Operation) -> int:
        return min(said.most, self._places.most(key, said.least)) if said.placement == "managed" else said.most

    @property
    def writes(self) -> int:
        """How many it has made."""
        return self._applier.writes

    @property
    def pods(self) -> Informer:
        return self._informers[kinds.POD]

    @property
    def deployments(self) -> Informer:
        return self._made[kinds.DEPLOYMENT]

    # ------------------------------------------------------------------------------------------------ what to look at
    def _waking(self, concerned: Concerned) -> Callable[[Document | None, Document | None], None]:
        def changed(old: Document | None, new: Document | None) -> None:
            for document in (old, new):
                for key in concerned(document) if document is not None else ():
                    self._queue.add(key)

        return changed

    def _waiting(self) -> None:
        """There may be room in the pool for who found none, and other nodes for who is there."""
        self._queue.add(_WARM)
        for key, each in self._operations.items():
            if each.placement == "managed":
                self._queue.add(key)
        for key in self._failures.without_room():
            self._queue.add(key)

    # --------------------------------------------------------------------------------------------------------- one turn
    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                if key == _WARM:
                    await self._places.keep_warm(self._folder, self._applier)
                else:
                    await (self._turn(key) if key[0] else self._class(key[1]))
            except (ApiError, OSError, TimeoutError) as error:
                say = _log.debug if not isinstance(error, ApiError) or error.code == 409 else _log.warning
                say("will retry", gateway="/".join(key), error=repr(error))
                self._queue.failed(key)
            except Exception as error:  # an odd document must not end the controller
                _log.error("gateway not looked at", gateway="/".join(key), exc_info=error)
                self._queue.failed(key)
            else:
                self._queue.succeeded(key)
            finally:
                self._queue.done(key)

    async def _class(self, name: str) -> None:
        """Make a built-in class that is missing. One that is there is its owner's: Istio's may stand in its place."""
        if self._informers[kinds.GATEWAY_CLASS].get(name) is None:
            try:
                await self._api.create(kinds.GATEWAY_CLASS, self._built_in[name])
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise

    async def _turn(self, key: Key) -> None:
        document = self._informers[kinds.GATEWAY].cache.get(key)
        if document is None or "deletionTimestamp" in document["metadata"]:
            self._forget(key)  # what was made goes with its owner, but in the pool
            await self._applier.delete(self._in_pool(key))
            await self._warm.drop(warm.claimed(self._pooled_pods(key)))
            return
        if not seen(self._informers, key[0], self._root):
            self._forget(key)  # what runs is left as it is
            return
        gateway, _ = decode(document)
        if not isinstance(gateway, Gateway) or not known(self._informers, gateway.spec.gateway_class_name):
            return  # unreadable, or nobody's: what runs is left as it is
        plan = planned(self._informers, gateway)
        if plan is None:
            self._forget(key)
            await self._prune(document, ())
            return
        self._plans[key] = plan
        try:
            await self._converge(plan, document)
        except ApiError as error:
            if error.code != 409:
                await self._failures.tell(key, document, error.message)
            raise

    async def _converge(self, plan: Plan, document: Document) -> None:
        wish = wished(plan, self._informers[kinds.CONFIG_MAP].cache, self._root)
        if isinstance(wish, Refused):  # what runs is left as it is
            await self._failures.tell(plan.name, document, wish.reason)
            return
        said, managed = wish.operation, wish.managed
        if managed and (why := self._places.take(plan.name, said.least)):
            await self._failures.tell(plan.name, document, why, NO_ROOM)
            return
        self._operations[plan.name] = said
        door, pods = await self._door(plan, said), self._pooled_pods(plan.name)

        def made(claim: str) -> tuple[Document, ...]:
            settled = self._places.settled
            return desired.desired(plan, self._folder, wish.parameters, merge, said, door, settled, pods, claim)

        try:
            if managed:
                await self._places.make()
                pods += await self._claimed(plan, document, pods, made)
            claimed = warm.claimed(pods)
            self._warm.follow(plan.name, claimed)
            wanted = made(claimed[0]["metadata"]["uid"] if claimed else "")
        except PatchError as error:
            why = f"the parameters cannot be merged: {error}; mend the ConfigMap"
            await self._failures.tell(plan.name, document, why)
            return
        if managed and self._deployment(plan.name) is None and self._warm.first(plan.name):
            wanted = tuple(each for each in wanted if each["kind"] != kinds.DEPLOYMENT.kind)
        leaving = self._leaving(plan.name, document, wanted)
        if leaving is not None and pooled.gateway(leaving) is not None:
            wanted = (*wanted, desired.pool_slice(plan, pods))
        refusals = [each for each in await asyncio.gather(*map(self._applier.apply, wanted)) if each]
        await self._failures.tell(plan.name, document, "; ".join(refusals))
        if leaving is None:
            await self._prune(document, wanted)
        elif await self._relieved(leaving, wanted, self._most(plan.name, said)):
            await self._prune(document, wanted if managed else wanted[:-1])
        if managed:
            await self._warm.relieve(plan.name, claimed)
        if not managed and not self._in_pool(plan.name):
            self._places.leave(plan.name)
        if refusals:
            self._queue.add_after(plan.name, _AGAIN)  # what stands in the way is not followed

    async def _door(self, plan: Plan, said: Operation) -> tuple[str, int] | None:
        """Where connections are held while the waypoint sleeps."""
        if self._activator is None:
            return None
        if not (said.sleeps and plan.managed):
            self._activator.forget(plan.name)
            return None
        return self._activator.address, await self._activator.port(plan.name)

    # ----------------------------------------------------------------------------------------------------------- writes
    def _leaving(self, key: Key, gateway: Document, wanted: Iterable[Document]) -> Document | None:
        """The Deployment that the Gateway has in its other place: in the pool, or in its own namespace."""
        own = [key_of(each) for each in wanted if each["kind"] == kinds.DEPLOYMENT.kind]
        deployments = self._made[kinds.DEPLOYMENT]
        found = (*deployments.indexed("pool", "/".join(key)), *deployments.indexed("owner", gateway["metadata"]["uid"]))
        for each in found:
            if own and key_of(each)[0] != own[0][0] and "deletionTimestamp" not in each["metadata"]:
                return each
        return None

    async def _relieved(self, leaving: Document, wanted: Iterable[Document], most: int) -> bool:
        """Do as many proxies serve in the new place as in the old one, so that these may go? Else see to it."""
        name = next(key_of(each) for each in wanted if each["kind"] == kinds.DEPLOYMENT.kind)
        coming = self._made[kinds.DEPLOYMENT].cache.get(name)
        if coming is None:
            return False
        there, here = (int(each["spec"].get("replicas", 1)) for each in (leaving, coming))
        if here < min(there, most):
            await self._api.patch(kinds.DEPLOYMENT, name[1], {"spec": {"replicas": min(there, most)}}, name[0])
            return False
        return int((coming.get("status") or {}).get("readyReplicas") or 0) >= here

    def _pooled_pods(self, key: Key) -> list[Document]:
        pods = self._informers[kinds.POD].indexed(POD_INDEX, "/".join(key))
        return [each for each in pods if pooled.gateway(each) == key]

    async def _claimed(
        self, plan: Plan, document: Document, pods: list[Document], made: Callable[[str], tuple[Document, ...]]
    ) -> list[Document]:
        """A warm proxy for a waypoint that has none at all, and is new or is being called."""
        own = self._deployment(plan.name)
        moves = self._made[kinds.DEPLOYMENT].indexed("owner", document["metadata"]["uid"])
        if pods or moves or (own is not None and not self._warm.called(plan.name)):
            if not warm.claimed(pods):
                self._warm.forget(plan.name)
            return []

        async def named(uid: str) -> None:
            """Before anything could be asked in its name."""
            account = next(each for each in made(uid) if each["kind"] == kinds.SERVICE_ACCOUNT.kind)
            await self._applier.apply(account)

        taken = await self._warm.take(plan.name, named, pooled.claimed(plan, desired.made_by(plan)))
        return [taken] if taken is not None else []

    def _deployment(self, key: Key) -> Document | None:
        return self._made[kinds.DEPLOYMENT].get(naming.account(*key), POOL_NAMESPACE)

    def _in_pool(self, key: Key) -> list[tuple[Kind, Document]]:
        name = "/".join(key)
        return [(kind, each) for kind, made in self._made.items() for each in made.indexed("pool", name)]

    async def _prune(self, gateway: Document, wanted: Iterable[Document]) -> None:
        """Delete what was made for this Gateway under another name, class or deployer, or in another place."""
        kept = {(each["kind"], *key_of(each)) for each in wanted}
        metadata = gateway["metadata"]
        own = [(kind, each) for kind, made in self._made.items() for each in made.indexed("owner", metadata["uid"])]
        found = (*own, *self._in_pool(key_of(gateway)))
        await self._applier.delete((kind, each) for kind, each in found if (kind.kind, *key_of(each)) not in kept)

    def _forget(self, key: Key) -> None:
        plan = self._plans.pop(key, None)
        self._failures.forget(key)
        self._operations.pop(key, None)
        self._warm.forget(key)
        if self._activator is not None:
            self._activator.forget(key)
        self._places.leave(key)
        if plan is not None:
            names = {(key[0], name) for name in plan.names} | {(POOL_NAMESPACE, naming.account(*key))}
            self._applier.forget(names)
