"""The driver of one pod: obeys its lifecycle (network, volumes, containers, probes, hooks) and writes its status.

One task a pod. Facts arrive from anywhere in the event loop and wake it; nothing here decides what should run.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from typing import Any

from plait.base import aio
from plait.base.observe import logger
from plait.local.pod import probes, probing
from plait.local.pod import status as podstatus
from plait.local.pod.containers import REFRESH, PodContainers
from plait.local.pod.lifecycle import Finished, Lifecycle, Start, Stop
from plait.local.pod.node import Node
from plait.local.pod.report import Report
from plait.local.pod.sandbox import Sandbox
from plait.resources.kinds import POD
from plait.store.api import ApiError, Document

_log = logger("kubelet")


class PodWorker:
    """`run()` ends when the pod is gone from the API server and nothing of it is left, or when cancelled."""

    def __init__(self, pod: Document, node: Node) -> None:
        self.pod, self.node = pod, node
        self.uid: str = pod["metadata"]["uid"]
        self.key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        self.directory = node.layout.pod(node.name, self.uid)
        self.lifecycle = Lifecycle(pod, backoff_base=node.backoff_base, backoff_most=node.backoff_most)
        self.gone = False  # the API server has forgotten the pod
        self._news = asyncio.Event()
        self.sandbox = Sandbox(pod, node)
        self.containers = PodContainers(pod, node, self.lifecycle, self.sandbox, self._news.set)
        self._report = Report(pod, node.api, node.addresses)
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self._finished = False
        self.lifecycle.started_at = self._report.since

    # --- facts from outside

    def updated(self, pod: Document) -> None:
        """A newer version of the document."""
        self.pod = self.containers.pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            grace = pod["metadata"].get("deletionGracePeriodSeconds")
            self.lifecycle.terminated(None if grace is None else float(grace))
        self._news.set()

    def vanished(self) -> None:
        """The API server forgot the pod (forced deletion): end it at once."""
        self.gone = True
        self.lifecycle.terminated(0.0)
        self._news.set()

    # --- the loop

    async def run(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            if self._report.status.get("phase") in ("Succeeded", "Failed"):
                self._set_up_ended()
            else:
                await self._set_up()
            await self._loop()
        finally:
            await aio.cancel(*self._tasks.values())

    async def _loop(self) -> None:
        while True:
            self._news.clear()
            now = aio.now()
            for command in self.lifecycle.step(now):
                if isinstance(command, Start):
                    self._spawn(("start", command.name), self.containers.start(command))
                elif isinstance(command, Stop):
                    await aio.cancel(self._tasks.get(("stop", command.name)))
                    self._spawn(("stop", command.name), self.containers.stop(command))
                elif isinstance(command, Finished):
                    self._finished = True
            self._arrange_probes()
            if self._finished:
                await aio.cancel(*(t for k, t in list(self._tasks.items()) if isinstance(k, tuple) and k[0] == "start"))
                await self.sandbox.release(self.pod)
            await self._send_status(now)
            if self._finished and self.lifecycle.terminating:
                await self._remove()
                if self.gone:
                    return
            waits = [REFRESH]
            if self.lifecycle.wake_at is not None:
                waits.append(self.lifecycle.wake_at - aio.now())
            if not self._finished:
                waits.append(self.containers.renew_at - aio.now())
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(waits)) + 0.001):
                    await self._news.wait()
                    continue
            await self.containers.refresh_volumes()

    def _spawn(self, key: object, coroutine: Any) -> None:
        task = aio.spawn(coroutine, f"{self.key} {key}")
        self._tasks[key] = task

        def done(ended: asyncio.Task[None]) -> None:
            if self._tasks.get(key) is ended:
                del self._tasks[key]
            self._news.set()

        task.add_done_callback(done)

    async def _set_up(self) -> None:
        """Network, hook, then what a former kubelet left running. Tried again until it works or the pod goes."""
        for delay in aio.backoff(0.5, 30.0):
            if self.lifecycle.terminating:
                break
            try:
                await self._attach()
                break
            except Exception as error:  # also the mesh's refusal to start the pod uncaptured
                self.node.record(self.pod, "Warning", "FailedCreatePodSandBox", str(error))
                _log.warning("pod network failed", pod=self.key, error=error)
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._news.wait()
                self._news.clear()
        for name, watching in self.containers.adopt(self._report.status):
            self._spawn(("orphan", name), watching)

    async def _attach(self) -> None:
        await asyncio.gather(self.containers.complete(), self.sandbox.attach(self.pod))
        self.sandbox.write_files(self.pod, self.directory / "etc")

    def _set_up_ended(self) -> None:
        """A pod that was complete before this kubelet started: its status stands, nothing runs again."""
        podstatus.restore(self.lifecycle, self._report.status)
        self.sandbox.left(tuple(each["ip"] for each in self._report.status.get("podIPs") or ()))

    # --- probes

    def _arrange_probes(self) -> None:
        wanted = {("probe", *key) for key in self.lifecycle.probes_wanted()}
        for key in [key for key in self._tasks if isinstance(key, tuple) and key[0] == "probe" and key not in wanted]:
            self._tasks.pop(key).cancel()
        for key in wanted - self._tasks.keys():
            self._spawn(key, self._probe(key[1], key[3]))

    async def _probe(self, name: str, kind: probing.ProbeKind) -> None:
        spec = self.containers.document(name)
        timing = probing.timing(probe := spec[kind + "Probe"])
        await asyncio.sleep(max(0.0, timing.delay - self._age(name)))
        state = self.lifecycle.containers[name].probes[kind]
        while True:
            ok, message = await probes.ask(
                probe,
                spec,
                self.sandbox.address,
                lambda argv, limit: self.containers.execute(name, argv, limit),
                timing.timeout,
            )
            before = (state.verdict, state.gave_up)
            self.lifecycle.probed(name, kind, ok)
            if not ok and state.news(self._age(name), timing.period):
                self.node.record(self.pod, "Warning", "Unhealthy", f"{kind.capitalize()} probe failed: {message}")
            if before != (state.verdict, state.gave_up):
                self._news.set()
            # Not yet ready: ask more often than the period says at first, as it only shortens the way to ready.
            eager = kind == "readiness" and not state.verdict and not ok
            await asyncio.sleep(probing.soon(timing, self._age(name)) if eager else timing.period)

    def _age(self, name: str) -> float:
        return aio.now() - self.lifecycle.containers[name].started_at

    # --- status, end

    async def _send_status(self, now: float) -> None:
        if self.gone:
            return
        outcome = await self._report.send(self.pod, self.lifecycle, self.sandbox.addresses, now)
        if outcome == "gone":
            self.vanished()
        elif outcome == "retry":
            self._retry()

    def _retry(self) -> None:
        asyncio.get_running_loop().call_later(1.0, self._news.set)

    async def _remove(self) -> None:
        """The last act: nothing of the pod is left here, so the API server may forget it."""
        await asyncio.to_thread(shutil.rmtree, self.directory, ignore_errors=True)
        if self.gone:
            return
        metadata = self.pod["metadata"]
        try:
            await self.node.api.delete(POD, metadata["name"], metadata["namespace"], grace=0, uid=self.uid)
            self.gone = not metadata.get("finalizers")
        except ApiError as error:
            self.gone = error.code in (404, 409)
            if not self.gone:
                _log.warning("pod not deleted", pod=self.key, error=error)
                self._retry()
        except OSError:
            self._retry()
