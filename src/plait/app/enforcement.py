"""Open connections that a changed policy no longer allows are cut; allowed ones are not touched.

The proxy judges a connection once, when it opens. After each change of the policies that bind a pod, its connections
are listed and judged again, a few times within a second: the proxy may let somebody in while it still learns.

A tunnel's peer is taken to be the workload the mesh has at its address (the proxy has checked the certificate). Of an
address nobody is described at, only "has an identity" is known, so a rule that wants a certain one does not match.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any, Final

from plait.base import aio
from plait.base.observe import logger
from plait.model.decision import Decision, Flow, decide
from plait.model.views.node import LocalPod, NodeView
from plait.node import connections
from plait.node.connections import Connection

SWEEPS: Final = (0.0, 0.1, 0.3, 0.7)
"""Seconds after a change."""
_SOMEBODY: Final = "spiffe://?"
_log = logger("enforcement")


def judge(view: NodeView, pod: LocalPod, connection: Connection) -> Decision:
    """What the pod's present policies say of an open connection."""
    principal = ""
    if connection.tunnel:
        peer = view.index.workload(connection.source, view.origin.network)
        principal = str(peer.identity) if peer is not None else _SOMEBODY
    return decide(pod.policies, Flow(principal, connection.source, connection.destination, connection.port))


def concerns(pod: LocalPod, connection: Connection) -> bool:
    """Is this into the pod, and not the pod talking to itself without a tunnel (which nobody judges)?"""
    if connection.destination not in pod.addresses:
        return False
    return connection.tunnel or connection.source not in pod.addresses


def _of(pod: LocalPod, connection: Connection) -> bool:
    """Where pods share the proxy's namespace, is this one's? Inside its own everything is."""
    return bool(pod.netns) or connection.source in pod.addresses or connection.destination in pod.addresses


class Enforcement:
    """Told of every new view; cuts what it denies."""

    def __init__(self, shared: str = "") -> None:
        self._shared = shared  # node-level capture: where the proxy's sockets are
        self.cut = 0
        self._view: NodeView | None = None
        self._due: dict[str, asyncio.Task[Any]] = {}

    def changed(self, old: NodeView, new: NodeView) -> None:
        """Judge again where the policies of a pod have changed."""
        self._view = new
        before = {pod.uid: pod.policies for pod in old.local}
        for pod in new.local:
            if pod.uid in before and before[pod.uid] != pod.policies:
                if (task := self._due.pop(pod.uid, None)) is not None:
                    task.cancel()
                task = aio.spawn(self._sweep(pod.uid), f"enforcement {pod.namespace}/{pod.name}")
                self._due[pod.uid] = task
                task.add_done_callback(partial(self._forget, pod.uid))

    def expired(self, identity: str) -> None:
        """The certificate of this identity ended and there is no other: nobody may go on in its name."""
        for pod in self._view.local if self._view is not None else ():
            if pod.identity == identity:
                aio.spawn(self._end(pod), f"expired {pod.namespace}/{pod.name}")

    async def _end(self, pod: LocalPod) -> None:
        where = Path(pod.netns or self._shared)
        try:
            found = [each for each in await connections.inbound(where) if each.in_mesh and _of(pod, each)]
            count = await connections.cut(where, found)
        except OSError as error:
            _log.warning("tunnels cannot be cut", pod=f"{pod.namespace}/{pod.name}", error=str(error))
            return
        self.cut += count
        _log.warning("cut the tunnels of an expired identity", pod=f"{pod.namespace}/{pod.name}", connections=count)

    async def close(self) -> None:
        await aio.cancel(*self._due.values())

    def _forget(self, uid: str, task: asyncio.Task[Any]) -> None:
        if self._due.get(uid) is task:
            del self._due[uid]

    async def _sweep(self, uid: str) -> None:
        gone = 0.0
        for moment in SWEEPS:
            await asyncio.sleep(moment - gone)
            gone = moment
            pod = next((p for p in self._view.local if p.uid == uid), None) if self._view is not None else None
            if pod is None or self._view is None or not pod.known:
                return
            try:
                await self._once(self._view, pod)
            except FileNotFoundError:
                return  # the pod's namespace has gone, and its connections with it
            except OSError as error:
                _log.warning("open connections cannot be cut", pod=f"{pod.namespace}/{pod.name}", error=str(error))
                return

    async def _once(self, view: NodeView, pod: LocalPod) -> None:
        found = [each for each in await connections.inbound(Path(pod.netns or self._shared)) if concerns(pod, each)]
        denied = {each: verdict for each in found if not (verdict := judge(view, pod, each)).allowed}
        self.cut += await connections.cut(Path(pod.netns or self._shared), denied)
        for each, verdict in denied.items():
            _log.info(
                "cut a connection that is no longer allowed",
                pod=f"{pod.namespace}/{pod.name}",
                source=each.source,
                port=each.port,
                tunnel=each.tunnel,
                policy=verdict.policy or "no ALLOW matches",
            )
