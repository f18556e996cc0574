"""The containers of one pod: created with their environment and volumes, stopped with their hooks, adopted, run in.

Obeys single orders of the pod's worker and tells its lifecycle what came of them; decides nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from plait.base import aio
from plait.base.observe import logger
from plait.local.containers import Exit, Running, StartError
from plait.local.images import UnknownImage
from plait.local.pod import attempts as attempts_on_disk
from plait.local.pod import commands, environment, hooks, volumes
from plait.local.pod import spec as podspec
from plait.local.pod import status as podstatus
from plait.local.pod.environment import ConfigError, Facts
from plait.local.pod.hooks import HookFailed
from plait.local.pod.lifecycle import Ending, Lifecycle, Start, Stop
from plait.local.pod.node import Node
from plait.local.pod.sandbox import Sandbox
from plait.local.pod.sources import Sources
from plait.store.api import ApiError, Document

REFRESH = 15.0
"""Seconds between two looks at the sources of volumes."""
_log = logger("kubelet")


class PodContainers:
    """`live` are those that run. `news` is called when the lifecycle has something to decide."""

    def __init__(
        self, pod: Document, node: Node, lifecycle: Lifecycle, sandbox: Sandbox, news: Callable[[], None]
    ) -> None:
        self.pod, self._node, self._lifecycle, self._sandbox, self._news = pod, node, lifecycle, sandbox, news
        self.whole = pod
        """The pod with the volume of its default token, once that is known."""
        self.live: dict[str, Running] = {}
        self._uid: str = pod["metadata"]["uid"]
        self._key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        self._directory = node.layout.pod(node.name, self._uid)
        self._sources = Sources(node.api, pod)
        self._volumes = volumes.Volumes(self._directory / "volumes", self._sources.token, aio.now)

    @property
    def renew_at(self) -> float:
        """When the volumes have to be looked at again."""
        return self._volumes.renew_at

    async def complete(self) -> None:
        """Learn what admission left to the kubelet: whether the token of the service account is mounted."""
        self.whole = volumes.with_default_token(self.pod, await self._sources.automount())

    def ended(self, name: str, ending: Exit) -> None:
        running = self.live.get(name)
        if running is None or running.id != ending.id:
            return
        self.live.pop(name)
        self._node.running.pop(ending.id, None)
        self._lifecycle.exited(name, ending.code, ending.signal, ending.finished_at)
        self._news()

    def forget(self) -> None:
        """Nobody is told of their ends any more."""
        for id in [id for id, (owner, _) in self._node.running.items() if owner is self]:
            del self._node.running[id]

    def adopt(self, status: Document) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """Take over the containers that a former kubelet started; yields who watches each that runs.

        `status` is what that kubelet said of the pod.
        """
        for container in self._lifecycle.containers.values():
            attempts = sorted(attempts_on_disk.of(self._directory, container.name))
            if not attempts:
                continue
            latest = attempts[-1]
            previous = self._ending(container.name, attempts[-2]) if len(attempts) > 1 else None
            self._lifecycle.restored(container.name, latest, previous)
            directory = podspec.container_directory(self._directory, container.name, latest)
            id = podspec.container_id(self._uid, container.name, latest)
            found = self._node.containers.find(directory, id)
            if isinstance(found, Running):
                self._now_running(container.name, found)
                self._lifecycle.started(container.name, found.id, found.started_at)
                self._lifecycle.hooked(container.name)
                before = podstatus.of_container(status, container.name)
                if before.get("containerID", "").endswith(found.id):
                    self._lifecycle.adopted(
                        container.name, started=bool(before.get("started")), ready=bool(before.get("ready"))
                    )
                yield container.name, self._node.containers.watch_orphan(found, directory)
            elif isinstance(found, Exit):
                self._lifecycle.exited(container.name, found.code, found.signal, found.finished_at, id=id)

    def _ending(self, name: str, attempt: int) -> Ending | None:
        id = podspec.container_id(self._uid, name, attempt)
        found = self._node.containers.find(podspec.container_directory(self._directory, name, attempt), id)
        if not isinstance(found, Exit):
            return None
        why = "Completed" if found.code == 0 else "Error"
        return Ending(found.code, found.signal, found.finished_at, found.finished_at, id, why)

    async def start(self, command: Start) -> None:
        name, spec = command.name, self.document(command.name)
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
            self._node.record(self.pod, "Warning", "Failed", f"Error: {error}")
            self._lifecycle.exited(name, 128, 0, aio.now(), reason="StartError", message=str(error))
        else:
            self._node.record(self.pod, "Normal", "Started", f"Started container {name}")
            self._news()
            hook = (spec.get("lifecycle") or {}).get("postStart")
            if hook and (why := await self._hook(name, hook, hooks.UNLIMITED)):
                self._node.record(self.pod, "Warning", "FailedPostStartHook", f"postStart hook of {name} failed: {why}")
                await self._node.containers.kill(running)
            else:
                self._lifecycle.hooked(name)
                self._news()

    def _refused(self, name: str, reason: str, message: str) -> None:
        self._node.record(self.pod, "Warning", "Failed", f"Error: {message}")
        self._lifecycle.refused(name, reason, message, aio.now())

    async def _create(self, spec: Document, attempt: int) -> Running:
        facts = await self._facts()
        await self._volumes.refresh(self.whole, facts)
        argv, image = self._node.table.command(spec)
        links = await self._sources.service_variables(str(self._node.plan.first(self._node.plan.api_service)))
        env = environment.compose(spec, self.pod, facts, image.env, links)
        name = str(spec["name"])
        own = podspec.container_directory(self._directory, name, attempt)
        (own / "root").mkdir(parents=True, exist_ok=True)
        log = podspec.log_file(self._directory, name, attempt)
        log.parent.mkdir(parents=True, exist_ok=True)
        attempts_on_disk.prune(self._directory, name, attempt)
        order = podspec.launcher_spec(
            spec,
            self.pod,
            attempt=attempt,
            directory=self._directory,
            netns=self._sandbox.netns,
            argv=argv,
            env=env,
            workdir=image.workdir,
            mounts=self._volumes.mounts(spec, self.whole, env),
            hidden=[str(self._node.layout.root)],
            any_user=self._node.rootless,
        )
        # Its end may be told before the answer to the order is read: so it is known by its id first.
        self._node.running[order["id"]] = self, name
        running = await self._node.containers.run(order)
        self._now_running(name, running)
        self._lifecycle.started(name, running.id, running.started_at)
        if isinstance(found := self._node.containers.find(own, running.id), Exit):  # told before we knew it
            self.ended(name, found)
        return running

    def _now_running(self, name: str, running: Running) -> None:
        self.live[name] = running
        self._node.running[running.id] = self, name

    def document(self, name: str) -> Document:
        spec = self.whole["spec"]
        return next(c for c in (*(spec.get("initContainers") or ()), *spec["containers"]) if c["name"] == name)

    async def _facts(self) -> Facts:
        objects = await self._sources.objects(self.whole)
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return Facts(
            self._sandbox.addresses, self._node.addresses, self._node.name, os.cpu_count() or 1, pages, objects
        )

    async def stop(self, command: Stop) -> None:
        running = self.live.get(command.name)
        if running is None:
            return
        spec = self.document(command.name)
        self._node.record(self.pod, "Normal", "Killing", f"Stopping container {command.name}")
        deadline = aio.now() + command.grace
        wanted = spec.get("lifecycle") or {}
        if command.grace > 0:
            if "preStop" in wanted:
                await self._hook(command.name, wanted["preStop"], command.grace)
            number = getattr(signal, str(wanted.get("stopSignal") or "SIGTERM"), signal.SIGTERM)
            self._node.containers.signal(running, number)
            while aio.now() < deadline and self.live.get(command.name) is running:
                await asyncio.sleep(min(0.1, max(0.001, deadline - aio.now())))
        if self.live.get(command.name) is running:
            await self._node.containers.kill(running)

    async def _hook(self, name: str, hook: Document, limit: float) -> str:
        """Why it failed, "" when it did not."""
        try:
            await hooks.run(hook, self.document(name), self._sandbox.address, partial(self.execute, name), limit)
        except HookFailed as error:
            _log.info("hook failed", pod=self._key, container=name, reason=error)
            return str(error) or "failed"
        return ""

    async def execute(self, name: str, argv: Sequence[str], timeout: float) -> tuple[int, str]:
        """Run a short command inside a container: exit code and what it printed (bounded)."""
        running = self.live.get(name)
        if running is None:
            raise StartError(f"container {name} is not running")
        return await commands.execute(self._node.containers, running, self._directory_of(name), argv, timeout)

    def _directory_of(self, name: str) -> Path:
        return podspec.container_directory(self._directory, name, self._lifecycle.containers[name].attempt)

    async def refresh_volumes(self) -> None:
        """ConfigMaps, Secrets and tokens that changed or end soon are written anew."""
        if not self.live or self._lifecycle.terminating:
            return
        try:
            await self._volumes.refresh({**self.whole, "metadata": self.pod["metadata"]}, await self._facts())
        except (ConfigError, ApiError, OSError) as error:
            _log.info("volumes not refreshed", pod=self._key, error=error)
            self._volumes.renew_at = aio.now() + REFRESH
