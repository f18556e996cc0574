"""The kubelet of one node: its Node object and Lease, a worker for each of its pods, orphans swept at the start.

It runs in the node's network namespace. Killed, it leaves the containers running; its successor adopts them.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path

from plait.base import aio
from plait.base.observe import logger
from plait.local.addresses import AddressPlan
from plait.local.containers import Containers, Exit
from plait.local.images import Table
from plait.local.layout import Layout
from plait.local.noderecord import lease_document, node_document
from plait.local.pod import spec as podspec
from plait.local.pod.lifecycle import BACKOFF_BASE, BACKOFF_MOST
from plait.local.pod.network import NoHook, PodNetwork, PodNetworkHook
from plait.local.pod.node import Node, Recorder
from plait.local.pod.worker import PodWorker
from plait.resources.kinds import LEASE, NODE, POD
from plait.store.api import Api, ApiError, Document
from plait.store.informer import Informer

_log = logger("kubelet")
_LEASE_SECONDS, _LEASE_PERIOD = 40, 10.0
_LEASES = "kube-node-lease"


def _silent(about: Document, type: str, reason: str, message: str) -> None:
    """The recorder of a kubelet that tells no events."""


class Kubelet:
    """`run()` until cancelled, then `stop(keep_pods=…)`."""

    def __init__(
        self,
        api: Api,
        layout: Layout,
        plan: AddressPlan,
        node_name: str,
        node_index: int,
        *,
        hook: PodNetworkHook | None = None,
        recorder: Recorder = _silent,
        images: Table | None = None,
        labels: dict[str, str] | None = None,
        backoff_base: float = BACKOFF_BASE,
        backoff_most: float = BACKOFF_MOST,
    ) -> None:
        self._api, self._labels = api, labels or {}
        layout.node(node_name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.node = Node(
            api=api,
            layout=layout,
            plan=plan,
            name=node_name,
            index=node_index,
            hook=hook or NoHook(),
            table=images or Table(),
            network=PodNetwork(layout, plan, node_name, node_index),
            containers=Containers(layout.node(node_name), self._exited),
            record=recorder,
            rootless=single_user(),
            backoff_base=backoff_base,
            backoff_most=backoff_most,
        )
        self.workers: dict[str, PodWorker] = {}
        self.ready = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._informer = Informer(api, POD, fields=f"spec.nodeName={node_name}")
        self._stopping = False

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """The worker of a pod by its name; one that is going gives way to one of the same name that comes."""
        found = [w for w in self.workers.values() if w.key == f"{namespace}/{name}"]
        return next((w for w in found if not w.lifecycle.terminating), found[0] if found else None)

    async def run(self) -> None:
        """Serve until cancelled."""
        await self.node.containers.open()
        registering = aio.spawn(self._keep_registered(), "node lease")
        following = aio.spawn(self._informer.run(), "kubelet pods")
        try:
            await self._informer.wait_for(lambda _: True)
            await self._sweep({pod["metadata"]["uid"] for pod in self._informer.cache.values()})
            self._informer.on_change(self._changed)
            await asyncio.gather(registering, following)
        finally:
            await aio.cancel(registering, following)

    async def stop(self, keep_pods: bool) -> None:
        """Leave; without `keep_pods` every container is killed and every pod's network is removed."""
        self._stopping = True
        await aio.cancel(*self._tasks.values())
        if not keep_pods:
            for worker in self.workers.values():
                with suppress(Exception):
                    await self.node.hook.detaching(worker.pod, worker.sandbox.netns)
        await self.node.containers.close(quit=not keep_pods)
        if not keep_pods:
            for uid in list(self.node.network.addresses.known()):
                await self.node.network.detach(uid)

    # --- pods

    def _changed(self, old: Document | None, new: Document | None) -> None:
        if new is not None:
            uid = new["metadata"]["uid"]
            if (worker := self.workers.get(uid)) is None:
                worker = self.workers[uid] = PodWorker(new, self.node)
                self._tasks[uid] = aio.spawn(self._work(worker), f"pod {worker.key}")
            worker.updated(new)
        elif old is not None and (gone := self.workers.get(old["metadata"]["uid"])) is not None:
            gone.vanished()

    async def _work(self, worker: PodWorker) -> None:
        """One pod's worker, started again (it adopts what runs) should it fail."""
        delays = aio.backoff(1.0, 60.0)
        while True:
            try:
                await worker.run()
                break
            except Exception as error:
                _log.error("pod worker failed", pod=worker.key, error=repr(error), exc_info=error)
                await asyncio.sleep(next(delays))
                pod = worker.pod
                worker = self.workers[worker.uid] = PodWorker(pod, self.node)
                worker.updated(pod)
        self.workers.pop(worker.uid, None)
        self._tasks.pop(worker.uid, None)
        worker.containers.forget()

    def _exited(self, ending: Exit) -> None:
        if (owner := self.node.running.get(ending.id)) is not None:
            worker, name = owner
            worker.ended(name, ending)

    async def _sweep(self, wanted: set[str]) -> None:
        """Pods that were deleted while no kubelet ran: their processes, networks and directories go."""
        pods = self.node.layout.node(self.node.name) / "pods"
        known = set(self.node.network.addresses.known())
        known |= {p.name for p in pods.iterdir()} if pods.is_dir() else set()
        for uid in known - wanted:
            _log.info("sweeping an orphaned pod", uid=uid)
            directory = self.node.layout.pod(self.node.name, uid)
            await self._kill_leftovers(uid, directory)
            await self.node.network.detach(uid)
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def _kill_leftovers(self, uid: str, directory: Path) -> None:
        for attempt in (directory / "c").glob("*/*"):
            if attempt.name.isdecimal():
                id = podspec.container_id(uid, attempt.parent.name, int(attempt.name))
                found = self.node.containers.find(attempt, id)
                if found is not None and not isinstance(found, Exit):
                    await self.node.containers.kill(found)

    # --- the node

    async def _keep_registered(self) -> None:
        """Node object and lease; whatever the API server says, tried again."""
        registered = False
        delays = aio.backoff(0.1, 5.0)
        while True:
            try:
                if not registered:
                    await self._register()
                    registered = True
                    self.ready.set()
                    delays = aio.backoff(0.1, 5.0)
                await self._renew()
            except ApiError as error:
                registered = registered and error.code != 404
                _log.warning("node not registered", node=self.node.name, error=error)
                await asyncio.sleep(next(delays))
                continue
            except OSError as error:
                _log.debug("no API server", node=self.node.name, error=repr(error))
                await asyncio.sleep(next(delays))
                continue
            await asyncio.sleep(_LEASE_PERIOD)

    async def _register(self) -> None:
        wanted = node_document(
            self.node.name, self.node.layout, self.node.plan, self.node.index, aio.now(), self._labels
        )
        status = wanted.pop("status")
        try:
            await self._api.create(NODE, wanted)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            body = {"metadata": wanted["metadata"], "spec": wanted["spec"]}
            await self._api.patch(NODE, self.node.name, body)
        await self._api.patch(NODE, self.node.name, {"status": status}, subresource="status")

    async def _renew(self) -> None:
        wanted = lease_document(self.node.name, _LEASE_SECONDS, aio.now())
        try:
            await self._api.patch(LEASE, self.node.name, {"spec": wanted["spec"]}, _LEASES)
        except ApiError as error:
            if error.code != 404:
                raise
            await self._api.create(LEASE, wanted, _LEASES)


def single_user() -> bool:
    """True in a user namespace that maps one user only: a container can be nobody else there."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return sum(int(line.split()[2]) for line in file) == 1
