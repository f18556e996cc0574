"""The shell around `machine`: feeds each pod's events, carries out its instructions one after another, looks again.

What it needs of others it states here (Listeners, Announcer); `app` hands it in. Every few seconds each captured pod is
compared with what it should be, so rules removed by hand come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from plait.base import aio
from plait.base.observe import logger
from plait.base.wellknown import REDIRECTION
from plait.model.views.datagrams import Datagrams
from plait.node import machine, netfilter
from plait.node.forms import Form, InPod, Target
from plait.node.machine import (
    Attached,
    Capture,
    Done,
    Drifted,
    Elapsed,
    Event,
    Failed,
    Gone,
    Instruction,
    Served,
    Wanted,
)

_log = logger("node")
_OWN_NAMESPACE = Path("/proc/self/ns/net")
_REDIRECTED = ("probing", "announcing", "in")


class Listeners(Protocol):
    """The proxy's side of a capture."""

    async def serve(self, target: Target) -> None:
        """Returns when the proxy acknowledged the pod's listeners and its certificate is there; raises otherwise."""
        ...

    async def withdraw(self, target: Target) -> None: ...


class Announcer(Protocol):
    """The API's side: the annotation that makes peers tunnel, and events people read."""

    async def announce(self, target: Target, captured: bool) -> None: ...

    async def event(self, target: Target, reason: str, message: str, *, warning: bool) -> None: ...


class NotStarted(Exception):
    """The pod's first container must not start: it should be captured and is not. The message says why."""


@dataclass(slots=True)
class _Pod:
    target: Target
    state: aio.Latest[Capture] = field(default_factory=lambda: aio.Latest(Capture()))
    work: asyncio.Queue[Instruction] = field(default_factory=asyncio.Queue)
    worker: asyncio.Task[None] | None = None
    serving: asyncio.Task[None] | None = None
    timers: set[asyncio.TimerHandle] = field(default_factory=set)


class Driver:
    """Captures and releases the pods of one node. `names`: does the pod's capture take its DNS too?"""

    def __init__(
        self,
        listeners: Listeners,
        announcer: Announcer,
        wanted: Callable[[dict[str, Any]], bool],
        *,
        every: float = 3.0,
        node_namespace: Path = _OWN_NAMESPACE,
        form: Form | None = None,
        names: Callable[[dict[str, Any]], bool] = lambda document: False,
        changed: Callable[[Target, Capture], None] = lambda target, capture: None,
    ) -> None:
        self._listeners, self._announcer, self._wanted, self._changed = listeners, announcer, wanted, changed
        self._every, self._form = every, form or InPod(node_namespace)
        self._names = names
        self._pods: dict[str, _Pod] = {}
        self._exempt: asyncio.Lock = asyncio.Lock()
        self._exempted: frozenset[str] | None = None

    async def attach(
        self, document: dict[str, Any], netns: Path, addresses: tuple[str, ...], timeout: float = 30.0
    ) -> None:
        """A pod's namespace is up. Returns when its containers may start; NotStarted when not in time."""
        target = _target(document, netns, addresses, self._names(document))
        pod = self._pods.get(target.uid)
        if pod is not None and pod.target != target:
            await self.detach(target.uid)
            pod = None
        if pod is None:
            pod = self._pods[target.uid] = _Pod(target)
            pod.worker = aio.spawn(self._worked(pod), f"capture {target}")
            left = await self._form.left_behind(target)
            self._feed(pod, Attached(rules=left, announced=_announced(document)))
        self._feed(pod, Wanted(self._wanted(document)))
        try:
            async with asyncio.timeout(timeout):
                async for state in pod.state.changes():
                    if state.may_run:
                        return
                    if state.phase == "gone":
                        raise NotStarted(f"pod {target} was deleted before it was captured")
        except TimeoutError:
            state = pod.state.value
            reason = f"not captured after {timeout:g} s: {state.phase}: {state.problem or 'still waiting'}"
            await self._tell(target, "CaptureFailed", reason, warning=True)
            raise NotStarted(f"pod {target}: {reason}; see the node agent's log") from None

    def update(self, documents: Iterable[dict[str, Any]]) -> None:
        """Pods (or their namespaces) changed: ask again who should be in the mesh."""
        for document in documents:
            pod = self._pods.get(document["metadata"].get("uid", ""))
            if pod is not None:
                self._feed(pod, Wanted(self._wanted(document)))

    async def detach(self, uid: str) -> None:
        """The pod ends: its listeners go, its namespace is about to."""
        pod = self._pods.pop(uid, None)
        if pod is None:
            return
        self._feed(pod, Gone())
        await pod.work.join()
        await aio.cancel(pod.worker)
        await self._form.gone(pod.target)
        await self._exempt_probes()

    def judged(self, uid: str, inbound: Datagrams) -> None:
        """What is not TCP may enter this pod as said; rules that stand already are changed now."""
        self._form.judged(uid, inbound)
        if (pod := self._pods.get(uid)) is not None:
            pod.work.put_nowait(Instruction("admit", pod.state.value.turn))

    def states(self) -> dict[str, Capture]:
        """uid -> where its capture stands."""
        return {uid: pod.state.value for uid, pod in self._pods.items()}

    def proxy_lost(self) -> None:
        """The proxy went away: every pod must be served again. Rules stay, so nothing leaks meanwhile."""
        for pod in list(self._pods.values()):
            self._feed(pod, Served(False))

    async def run(self) -> None:
        """Look again, for ever."""
        while True:
            await asyncio.sleep(self._every)
            for pod in list(self._pods.values()):
                try:
                    await self._look(pod)
                except (OSError, netfilter.NetfilterError) as error:
                    _log.warning("could not check the capture", pod=pod.target, error=error)
            try:
                await self._exempt_probes(force=True)
            except (OSError, netfilter.NetfilterError) as error:
                _log.warning("could not check the node's rules", error=error)

    async def close(self) -> None:
        """Stop working; what is captured stays captured."""
        for pod in self._pods.values():
            for timer in pod.timers:
                timer.cancel()
            await aio.cancel(pod.serving, pod.worker)

    # ------------------------------------------------------------------------------------------------ events and work
    def _feed(self, pod: _Pod, event: Event) -> None:
        before = pod.state.value
        after, instructions = machine.step(before, event)
        if after.phase != before.phase:
            _log.debug("capture", pod=pod.target, phase=after.phase, after=before.phase)
            if after.turn != before.turn and pod.serving is not None:
                pod.serving.cancel()  # waiting for listeners is the one instruction that may take long
        pod.state.set(after)
        for instruction in instructions:
            if instruction.verb == "wait":
                self._wait(pod, instruction)
            else:
                pod.work.put_nowait(instruction)
        if after != before:
            self._changed(pod.target, after)

    def _wait(self, pod: _Pod, instruction: Instruction) -> None:
        def over() -> None:
            pod.timers.discard(timer)
            self._feed(pod, Elapsed(instruction.turn))

        timer = asyncio.get_running_loop().call_later(instruction.seconds, over)
        pod.timers.add(timer)

    async def _worked(self, pod: _Pod) -> None:
        while True:
            instruction = await pod.work.get()
            try:
                if instruction.turn != pod.state.value.turn:
                    continue  # overtaken by a later event
                await self._execute(pod, instruction)
            finally:
                pod.work.task_done()

    async def _execute(self, pod: _Pod, instruction: Instruction) -> None:
        target = pod.target
        try:
            match instruction.verb:
                case "serve":
                    pod.serving = aio.spawn(self._listeners.serve(target), f"serve {target}")
                    try:
                        await pod.serving
                    except asyncio.CancelledError:
                        if not pod.serving.cancelled():
                            raise  # the worker itself is being stopped
                        return
                    finally:
                        pod.serving = None
                    self._feed(pod, Served(True))
                    return
                case "redirect":
                    await self._exempt_probes()
                    await self._form.redirect(target)
                case "admit":
                    if pod.state.value.phase in _REDIRECTED:  # else the next redirect does it
                        await self._form.admit(target)
                    return
                case "probe":
                    await self._form.probe(target)
                case "announce":
                    await self._announcer.announce(target, True)
                    await self._tell(target, "Captured", "traffic goes through the mesh, verified by a connection")
                case "retract":
                    await self._announcer.announce(target, False)
                case "release":
                    await self._form.release(target)
                case "clean":
                    await self._form.clean(target)
                    await self._exempt_probes()
                    await self._tell(target, "Released", "traffic goes its own way again")
                case "withdraw":
                    await self._listeners.withdraw(target)
        except Exception as error:  # whatever fails in the world becomes an event; the machine decides on the retry
            if pod.state.value.problem != str(error):
                _log.warning("capture failed", pod=target, step=instruction.verb, error=error or repr(error))
            self._feed(pod, Failed(instruction.turn, str(error) or repr(error)))
        else:
            self._feed(pod, Done(instruction.turn))

    # -------------------------------------------------------------------------------------------------------- the world
    async def _look(self, pod: _Pod) -> None:
        if not pod.state.value.captured:
            return
        target = pod.target
        if not await self._form.listening(target):
            await self._tell(target, "ProxyNotListening", "the proxy does not listen in the pod", warning=True)
            self._feed(pod, Served(False))
        elif not await self._form.intact(target):
            await self._tell(target, "CaptureRepaired", "capture rules were changed by someone else", warning=True)
            self._feed(pod, Drifted())

    async def _exempt_probes(self, *, force: bool = False) -> None:
        """The node's own rules: the kubelet's probes of captured pods pass also under STRICT."""
        async with self._exempt:
            ruled = (pod.target for pod in self._pods.values() if pod.state.value.rules)
            addresses = frozenset(address for target in ruled for address in target.addresses)
            if force or addresses != self._exempted:
                await self._form.captured(addresses)
                self._exempted = addresses

    async def _tell(self, target: Target, reason: str, message: str, *, warning: bool = False) -> None:
        (_log.warning if warning else _log.info)(reason, pod=target, detail=message)
        try:
            await self._announcer.event(target, reason, message, warning=warning)
        except Exception as error:  # an Event is a courtesy: the capture does not depend on it
            _log.debug("event not recorded", pod=target, error=error)


def _target(document: dict[str, Any], netns: Path, addresses: tuple[str, ...], dns: bool) -> Target:
    meta = document["metadata"]
    account = document.get("spec", {}).get("serviceAccountName") or "default"
    return Target(meta["uid"], meta["namespace"], meta["name"], account, netns, addresses, dns)


def _announced(document: dict[str, Any]) -> bool:
    return (document["metadata"].get("annotations") or {}).get(REDIRECTION) == "enabled"
