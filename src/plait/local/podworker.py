"""The driver of one pod: obeys its lifecycle (network, volumes, containers, probes, hooks) and writes its status.

One task a pod. Facts arrive from anywhere in the event loop and wake it; nothing here decides what should run.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from plait.base import aio
from plait.base.observe import logger
from plait.local import attempts as attempts_on_disk
from plait.local import commands, environment, hooks, podspec, podstatus, probes, probing, volumes
from plait.local.addresses import AddressPlan
from plait.local.containers import Containers, Exit, Running, StartError
from plait.local.environment import ConfigError, Facts
from plait.local.hooks import HookFailed
from plait.local.images import Table, UnknownImage
from plait.local.layout import Layout
from plait.local.lifecycle import BACKOFF_BASE, BACKOFF_MOST, Ending, Finished, Lifecycle, Start, Stop
from plait.local.podnet import PodNetwork, PodNetworkHook, named_address
from plait.local.sources import Sources
from plait.resources.kinds import POD
from plait.store.api import Api, ApiError, Document

Recorder = Callable[[Document, str, str, str], None]  # about, Normal | Warning, reason, message
_log = logger("kubelet")
_REFRESH = 15.0


@dataclass
class Node:
    """What the pods of one node share."""

    api: Api
    layout: Layout
    plan: AddressPlan
    name: str
    index: int
    hook: PodNetworkHook
    table: Table
    network: PodNetwork
    containers: Containers
    record: Recorder
    rootless: bool
    backoff_base: float = BACKOFF_BASE
    backoff_most: float = BACKOFF_MOST
    running: dict[str, tuple[PodWorker, str]] = field(default_factory=dict)  # container id -> whose it is

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(map(str, self.plan.addresses(self.plan.node(self.index))))


class PodWorker:
    """`run()` ends when the pod is gone from the API server and nothing of it is left, or when cancelled."""

    def __init__(self, pod: Document, node: Node) -> None:
        self.pod, self.node = pod, node
        self.uid: str = pod["metadata"]["uid"]
        self.key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        self.directory = node.layout.pod(node.name, self.uid)
        self.lifecycle = Lifecycle(pod, backoff_base=node.backoff_base, backoff_most=node.backoff_most)
        self.live: dict[str, Running] = {}
        self.addresses: tuple[str, ...] = ()
        self.gone = False  # the API server has forgotten the pod
        self._sources = Sources(node.api, pod)
        self._volumes = volumes.Volumes(self.directory / "volumes", self._sources.token, aio.now)
        self._whole = pod
        self._status: Document = pod.get("status") or {}
        self._sent: Document = self._status
        self._news = asyncio.Event()
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self._attached = False
        self._finished = False
        self._since = podstatus.seconds(start) if (start := self._status.get("startTime")) else aio.now()
        self.lifecycle.started_at = self._since

    # --- facts from outside

    def updated(self, pod: Document) -> None:
        """A newer version of the document."""
        self.pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            grace = pod["metadata"].get("deletionGracePeriodSeconds")
            self.lifecycle.terminated(None if grace is None else float(grace))
        self._news.set()

    def vanished(self) -> None:
        """The API server forgot the pod (forced deletion): end it at once."""
        self.gone = True
        self.lifecycle.terminated(0.0)
        self._news.set()

    def ended(self, name: str, ending: Exit) -> None:
        running = self.live.get(name)
        if running is None or running.id != ending.id:
            return
        self.live.pop(name)
        self.node.running.pop(ending.id, None)
        self.lifecycle.exited(name, ending.code, ending.signal, ending.finished_at)
        self._news.set()

    # --- the loop

    async def run(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            if self._status.get("phase") in ("Succeeded", "Failed"):
                self._adopt_ended()
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
                    self._spawn(("start", command.name), self._start(command))
                elif isinstance(command, Stop):
                    await aio.cancel(self._tasks.get(("stop", command.name)))
                    self._spawn(("stop", command.name), self._stop(command))
                elif isinstance(command, Finished):
                    self._finished = True
            self._arrange_probes()
            if self._finished:
                await self._release_network()
            await self._send_status(now)
            if self._finished and self.lifecycle.terminating:
                await self._remove()
                if self.gone:
                    return
            waits = [_REFRESH]
            if self.lifecycle.wake_at is not None:
                waits.append(self.lifecycle.wake_at - aio.now())
            if not self._finished:
                waits.append(self._volumes.renew_at - aio.now())
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(waits)) + 0.001):
                    await self._news.wait()
                    continue
            await self._refresh()

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
        await self._adopt()

    async def _attach(self) -> None:
        automount, _ = await asyncio.gather(self._sources.automount(), self._connect())
        self._whole = volumes.with_default_token(self.pod, automount)
        etc = self.directory / "etc"
        etc.mkdir(exist_ok=True)
        host_resolv = Path("/etc/resolv.conf").read_text() if Path("/etc/resolv.conf").exists() else ""
        dns = str(self.node.plan.first(self.node.plan.dns_service))
        for name, text in podspec.etc_files(self.pod, self.addresses, dns, host_resolv).items():
            (etc / name).write_text(text)
            (etc / name).chmod(0o644)

    async def _connect(self) -> None:
        if self.pod["spec"].get("hostNetwork"):
            self.addresses = self.node.addresses
            return
        self.addresses = tuple(map(str, await self.node.network.attach(self.uid, named_address(self.pod))))
        self._attached = True
        await self.node.hook.attached(self.pod, self.netns, self.addresses)

    async def _adopt(self) -> None:
        """Take over the containers that a former kubelet started."""
        for container in self.lifecycle.containers.values():
            attempts = sorted(attempts_on_disk.of(self.directory, container.name))
            if not attempts:
                continue
            latest = attempts[-1]
            previous = self._ending(container.name, attempts[-2]) if len(attempts) > 1 else None
            self.lifecycle.restored(container.name, latest, previous)
            directory = podspec.container_directory(self.directory, container.name, latest)
            id = podspec.container_id(self.uid, container.name, latest)
            found = self.node.containers.find(directory, id)
            if isinstance(found, Running):
                self._now_running(container.name, found)
                self.lifecycle.started(container.name, found.id, found.started_at)
                self.lifecycle.hooked(container.name)
                before = podstatus.of_container(self._status, container.name)
                if before.get("containerID", "").endswith(found.id):
                    self.lifecycle.adopted(
                        container.name, started=bool(before.get("started")), ready=bool(before.get("ready"))
                    )
                self._spawn(("orphan", container.name), self.node.containers.watch_orphan(found, directory))
            elif isinstance(found, Exit):
                self.lifecycle.exited(container.name, found.code, found.signal, found.finished_at, id=id)

    def _adopt_ended(self) -> None:
        """A pod that was complete before this kubelet started: its status stands, nothing runs again."""
        for key in ("initContainerStatuses", "containerStatuses"):
            for status in self._status.get(key) or ():
                ended = (status.get("state") or {}).get("terminated")
                container = self.lifecycle.containers.get(status["name"])
                if ended and container is not None:
                    self.lifecycle.restored(status["name"], status.get("restartCount", 0), None)
                    finished = podstatus.seconds(ended.get("finishedAt") or "")
                    self.lifecycle.exited(
                        status["name"],
                        int(ended["exitCode"]),
                        int(ended.get("signal") or 0),
                        finished,
                        reason=ended.get("reason", ""),
                        message=ended.get("message", ""),
                        id=container.id,
                    )
        if not self.lifecycle.complete:
            reason = self._status.get("reason") or "Failed"
            self.lifecycle.failed(reason, self._status.get("message") or "")
        self.addresses = tuple(each["ip"] for each in self._status.get("podIPs") or ())
        self._attached = True  # so that leftovers of its network are removed

    def _ending(self, name: str, attempt: int) -> Ending | None:
        id = podspec.container_id(self.uid, name, attempt)
        found = self.node.containers.find(podspec.container_directory(self.directory, name, attempt), id)
        if not isinstance(found, Exit):
            return None
        why = "Completed" if found.code == 0 else "Error"
        return Ending(found.code, found.signal, found.finished_at, found.finished_at, id, why)

    @property
    def address(self) -> str:
        """The first one: probes and hooks go there. "" until known."""
        return self.addresses[0] if self.addresses else ""

    @property
    def netns(self) -> Path:
        if self.pod["spec"].get("hostNetwork"):
            return self.node.layout.netns(self.node.name)
        return self.node.network.namespace(self.uid)

    # --- containers

    async def _start(self, command: Start) -> None:
        name, spec = command.name, self._document(command.name)
        try:
            running = await self._create(spec, command.attempt)
        except UnknownImage as error:
            self._refused(name, "ErrImagePull", str(error))
        except ConfigError as error:
            self._refused(name, "CreateContainerConfigError", str(error))
        except ApiError as error:
            self._refused(name, "CreateContainerConfigError", f"the API server refused: {error}")
        except OSError as error:
            self._refused(name, "CreateContainerError", str(error))
        except StartError as error:
            self.node.record(self.pod, "Warning", "Failed", f"Error: {error}")
            self.lifecycle.exited(name, 128, 0, aio.now(), reason="StartError", message=str(error))
        else:
            self.node.record(self.pod, "Normal", "Started", f"Started container {name}")
            self._news.set()
            hook = (spec.get("lifecycle") or {}).get("postStart")
            if hook and (why := await self._hook(name, hook, hooks.UNLIMITED)):
                self.node.record(self.pod, "Warning", "FailedPostStartHook", f"postStart hook of {name} failed: {why}")
                await self.node.containers.kill(running)
            else:
                self.lifecycle.hooked(name)
                self._news.set()

    def _refused(self, name: str, reason: str, message: str) -> None:
        self.node.record(self.pod, "Warning", "Failed", f"Error: {message}")
        self.lifecycle.refused(name, reason, message, aio.now())

    async def _create(self, spec: Document, attempt: int) -> Running:
        facts = await self._facts()
        await self._volumes.refresh(self._whole, facts)
        argv, image = self.node.table.command(spec)
        links = await self._sources.service_variables(str(self.node.plan.first(self.node.plan.api_service)))
        env = environment.compose(spec, self.pod, facts, image.env, links)
        name = str(spec["name"])
        own = podspec.container_directory(self.directory, name, attempt)
        (own / "root").mkdir(parents=True, exist_ok=True)
        log = podspec.log_file(self.directory, name, attempt)
        log.parent.mkdir(parents=True, exist_ok=True)
        attempts_on_disk.prune(self.directory, name, attempt)
        order = podspec.launcher_spec(
            spec,
            self.pod,
            attempt=attempt,
            directory=self.directory,
            netns=self.netns,
            argv=argv,
            env=env,
            workdir=image.workdir,
            mounts=self._volumes.mounts(spec, self._whole, env),
            hidden=[str(self.node.layout.root)],
            any_user=self.node.rootless,
        )
        # Its end may be told before the answer to the order is read: so it is known by its id first.
        self.node.running[order["id"]] = (self, name)
        running = await self.node.containers.run(order)
        self._now_running(name, running)
        self.lifecycle.started(name, running.id, running.started_at)
        if isinstance(found := self.node.containers.find(own, running.id), Exit):  # told before we knew it
            self.ended(name, found)
        return running

    def _now_running(self, name: str, running: Running) -> None:
        self.live[name] = running
        self.node.running[running.id] = (self, name)

    def _document(self, name: str) -> Document:
        spec = self._whole["spec"]
        return next(c for c in (*(spec.get("initContainers") or ()), *spec["containers"]) if c["name"] == name)

    async def _facts(self) -> Facts:
        objects = await self._sources.objects(self._whole)
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return Facts(self.addresses, self.node.addresses, self.node.name, os.cpu_count() or 1, pages, objects)

    async def _stop(self, command: Stop) -> None:
        running = self.live.get(command.name)
        if running is None:
            return
        spec = self._document(command.name)
        self.node.record(self.pod, "Normal", "Killing", f"Stopping container {command.name}")
        deadline = aio.now() + command.grace
        wanted = spec.get("lifecycle") or {}
        if command.grace > 0:
            if "preStop" in wanted:
                await self._hook(command.name, wanted["preStop"], command.grace)
            number = getattr(signal, str(wanted.get("stopSignal") or "SIGTERM"), signal.SIGTERM)
            self.node.containers.signal(running, number)
            while aio.now() < deadline and self.live.get(command.name) is running:
                await asyncio.sleep(min(0.1, max(0.001, deadline - aio.now())))
        if self.live.get(command.name) is running:
            await self.node.containers.kill(running)

    async def _hook(self, name: str, hook: Document, limit: float) -> str:
        """Why it failed, "" when it did not."""
        try:
            await hooks.run(hook, self._document(name), self.address, partial(self.execute, name), limit)
        except HookFailed as error:
            _log.info("hook failed", pod=self.key, container=name, reason=error)
            return str(error) or "failed"
        return ""

    async def execute(self, name: str, argv: Sequence[str], timeout: float) -> tuple[int, str]:
        """Run a short command inside a container: exit code and what it printed (bounded)."""
        running = self.live.get(name)
        if running is None:
            raise StartError(f"container {name} is not running")
        return await commands.execute(self.node.containers, running, self._directory_of(name), argv, timeout)

    def _directory_of(self, name: str) -> Path:
        return podspec.container_directory(self.directory, name, self.lifecycle.containers[name].attempt)

    # --- probes

    def _arrange_probes(self) -> None:
        wanted = {("probe", *key) for key in self.lifecycle.probes_wanted()}
        for key in [key for key in self._tasks if isinstance(key, tuple) and key[0] == "probe" and key not in wanted]:
            self._tasks.pop(key).cancel()
        for key in wanted - self._tasks.keys():
            self._spawn(key, self._probe(key[1], key[3]))

    async def _probe(self, name: str, kind: probing.ProbeKind) -> None:
        spec = self._document(name)
        timing = probing.timing(probe := spec[kind + "Probe"])
        await asyncio.sleep(max(0.0, timing.delay - self._age(name)))
        state = self.lifecycle.containers[name].probes[kind]
        while True:
            ok, message = await probes.ask(
                probe, spec, self.address, lambda argv, limit: self.execute(name, argv, limit), timing.timeout
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

    # --- volumes, status, end

    async def _refresh(self) -> None:
        if not self.live or self.lifecycle.terminating:
            return
        try:
            await self._volumes.refresh({**self._whole, "metadata": self.pod["metadata"]}, await self._facts())
        except (ConfigError, ApiError, OSError) as error:
            _log.info("volumes not refreshed", pod=self.key, error=error)
            self._volumes.renew_at = aio.now() + _REFRESH

    async def _send_status(self, now: float) -> None:
        known = {c["type"]: c for c in (self.pod.get("status") or {}).get("conditions") or ()}
        known.update({c["type"]: c for c in self._status.get("conditions") or () if c["type"] in podstatus.OURS})
        document = {**self.pod, "status": {**(self.pod.get("status") or {}), "conditions": list(known.values())}}
        place = podstatus.Place(self.node.addresses, self.addresses, self._since)
        self._status = podstatus.compose(self.lifecycle, document, place, now)
        if self.gone or self._status == self._sent:
            return
        metadata = self.pod["metadata"]
        body = {"metadata": {"uid": self.uid}, "status": self._status}
        try:
            await self.node.api.patch(POD, metadata["name"], body, metadata["namespace"], subresource="status")
            self._sent = self._status
        except ApiError as error:
            if error.code in (404, 409):
                await self._check_gone()
            else:
                _log.warning("status refused", pod=self.key, error=error)
                self._retry()
        except OSError as error:
            _log.debug("status not sent", pod=self.key, error=repr(error))
            self._retry()

    def _retry(self) -> None:
        asyncio.get_running_loop().call_later(1.0, self._news.set)

    async def _check_gone(self) -> None:
        metadata = self.pod["metadata"]
        try:
            found = await self.node.api.get(POD, metadata["name"], metadata["namespace"])
        except (ApiError, OSError) as error:
            if isinstance(error, ApiError) and error.code == 404:
                self.vanished()
            else:
                self._retry()
            return
        if found["metadata"]["uid"] != self.uid:
            self.vanished()
        else:
            self._retry()

    async def _release_network(self) -> None:
        if not self._attached:
            return
        await aio.cancel(*(t for k, t in list(self._tasks.items()) if isinstance(k, tuple) and k[0] == "start"))
        try:
            await self.node.hook.detaching(self.pod, self.netns)
        except Exception as error:
            _log.error("the mesh's hook failed", pod=self.key, error=repr(error))
        await self.node.network.detach(self.uid)
        self._attached = False

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
