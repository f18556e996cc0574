"""What one node's Envoy is told: from the workload stream and the pods served here to delta ADS, and what it answered.

It is the capture driver's `Listeners`. Where streams and certificates come from is the agent's business.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from plait.app.answers import Answers
from plait.app.enforcement import Enforcement
from plait.app.served import Served
from plait.app.snapshot import Snapshot
from plait.app.taken import Taken
from plait.base.bundle import Bundle, Resource
from plait.base.observe import logger
from plait.base.wellknown import DATAPLANE_MODE, HBONE_PORT, INBOUND_PLAINTEXT_PORT, OUTBOUND_PORT
from plait.envoy import names
from plait.envoy.options import Options
from plait.envoy.roles import node as role
from plait.envoy.wire import resource
from plait.model.mesh import Settings
from plait.model.views import datagrams
from plait.model.views.datagrams import Datagrams
from plait.model.views.node import NodeState, NodeView, PodState, project
from plait.node import netfilter
from plait.node.forms import Target
from plait.proxy.certs import Certificates
from plait.wds import messages as wds
from plait.wds.decode import Store
from plait.xds.cache import Cache
from plait.xds.session import SessionState

_log = logger("agent")
_PORTS = frozenset({OUTBOUND_PORT, INBOUND_PLAINTEXT_PORT, HBONE_PORT})
_WHOLE = frozenset({wds.ADDRESS_TYPE, wds.AUTHORIZATION_TYPE})
_TAKEN: Final = "cannot bind"
_SERVE_SECONDS, _SETTLE, _LONGEST = 20.0, 0.005, 0.25


@dataclass(frozen=True, slots=True)
class Refusal:
    """One resource that Envoy did not take. `pod` is the UID it belongs to, "" for what all pods share."""

    type: str
    name: str
    pod: str
    reason: str

    def __str__(self) -> str:
        said = f"the proxy refused {self.name} ({self.type.rpartition('.')[2]}): {self.reason}"
        if _TAKEN in self.reason:
            out = f"let the application listen on another port, or label the pod {DATAPLANE_MODE}=none"
            return f"{said}: an application has the proxy's port; {out}"
        return f"{said}; it keeps what it had before: undo the last change of a policy or label that touches this pod"

    @property
    def vital(self) -> bool:
        """Without it the pod cannot be served at all."""
        return self.type in (names.LISTENER, names.ROUTE)


class ProxyRefused(Exception):
    """Envoy does not take a listener or route of this pod; the message names it and why."""


class Configuration:
    """`on_delta` for the stream, `cache` for Envoy, `serve` and `withdraw` for the driver, `refusals` for people."""

    def __init__(
        self, node: str, settings: Settings, snapshot: Snapshot, options: Options, served: Served | None = None
    ) -> None:
        self._node, self._options, self._snapshot = node, options, snapshot
        self._answers = Answers(options)
        self._store = Store(settings)
        self._view: NodeView = project(self._store.mesh, NodeState(node))
        self._served = served
        self._pods: dict[str, PodState] = served.load() if served is not None else {}
        self._remembered = set(self._pods)  # served by a former agent, not brought back to us yet
        self.filled = asyncio.Event()
        """Envoy may be told: before, it would hear that what it has is no longer there."""
        self._due: asyncio.TimerHandle | None = None
        self._took = 0.0
        self.certificates: Certificates | None = None
        self.others: Callable[[], set[str]] = lambda: set()
        """Further identities whose certificates are wanted (L7 proxies of this node)."""
        self.cache = Cache()
        self._taken = Taken(self.cache)
        self.problems = 0
        self.on_judged: Callable[[str, Datagrams], None] = lambda uid, inbound: None
        self._judged: dict[str, Datagrams] = {}
        self.enforcement = Enforcement(options.shared_netns)
        for url, known in snapshot.types.items():
            self._store.apply(url, known.values(), ())

    @property
    def view(self) -> NodeView:
        """What the node knows of the mesh now."""
        return self._view

    def on_delta(self, url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]) -> None:
        """The control plane said something."""
        gone = self._snapshot.apply(url, resources, removed)
        for problem in self._store.apply(url, resources, gone):
            self.problems += 1
            _log.warning("part of the workload stream cannot be read", problem=problem)
        self.refresh()

    def applied(self) -> asyncio.Future[None] | None:
        """Done when the node's Envoys have answered for what was heard until now."""
        return self._taken.by(self.cache.generation + (self._due is not None))

    def refresh(self) -> None:
        """Translate soon: what comes in the same few milliseconds is one change."""
        if self._due is None:
            # Under a stream of changes a large mesh leaves as much time to Envoy's questions as it takes itself.
            self._due = asyncio.get_running_loop().call_later(max(_SETTLE, self._took), self._refresh)

    def _refresh(self) -> None:
        self._due = None
        began = time.perf_counter()
        before = self._view
        self._view = project(self._store.mesh, NodeState(self._node, tuple(self._pods.values())), before)
        bundle = role.translate(self._view, self._options)
        types = {
            url: self._shared(url, named) for url, named in {**bundle.types, names.SECRET: self._secrets()}.items()
        }
        self.cache.set(Bundle(types), lookup=self._lookup)
        self.enforcement.changed(before, self._view)
        self._judge()
        if self.certificates is not None and (not self._remembered or self._snapshot.types.keys() >= _WHOLE):
            self.filled.set()
        self._took = min(time.perf_counter() - began, _LONGEST)

    def _judge(self) -> None:
        """Tell who listens (the capture driver) what may enter each pod without being TCP, where that has changed."""
        found = {pod.uid: datagrams.admitted(pod.policies, known=pod.known) for pod in self._view.local}
        for uid, inbound in found.items():
            if self._judged.get(uid) != inbound:
                self.on_judged(uid, inbound)
        self._judged = found

    def begin(self, certificates: Certificates) -> None:
        """Certificates can be had: begin with those of the pods that a former agent served."""
        self.certificates = certificates
        self._want()
        self.refresh()

    def forget_others(self, present: Collection[str]) -> None:
        """These pods are on the node; whoever else a former agent served has gone meanwhile."""
        if gone := self._remembered - set(present):
            for uid in gone:
                del self._pods[uid]
            self._remembered -= gone
            self._pods_changed()

    def _pods_changed(self) -> None:
        self._want()
        self.refresh()
        if self._served is not None:
            self._served.save(self._pods.values())

    def _shared(self, url: str, new: Any) -> Any:
        """The mapping served before, when nothing in it changed: sessions then have nothing to compare."""
        old = self.cache.of(url)
        same = old.keys() == new.keys() and all(old[name].version == new[name].version for name in new)
        return old if same else new

    def _secrets(self) -> dict[str, Resource]:
        if self.certificates is None:
            return {}
        documents = self.certificates.secrets(names.ROOT_SECRET)
        return {name: resource(names.SECRET, name, document) for name, document in documents.items()}

    def _lookup(self, url: str, name: str) -> Resource | None:
        if url == names.CLUSTER and name.startswith(names.ON_DEMAND):
            return self._answers.of(self._view, name)
        return None

    # ------------------------------------------------------------------------------------------- the driver's Listeners
    async def serve(self, target: Target) -> None:
        """Listeners of the pod: pushed, and seen listening by the kernel; its certificate: held."""
        shared = self._options.shared_netns
        own = "" if shared else str(target.netns)  # node-level capture: no sockets inside the pod
        state = PodState(target.uid, target.namespace, target.name, target.service_account, target.addresses, own)
        self._pods[target.uid] = state
        self._remembered.discard(target.uid)
        self._pods_changed()
        certificates = self._want()
        step = "its certificate"
        try:
            async with asyncio.timeout(_SERVE_SECONDS):
                await certificates.present(self.identity(state))
                step = "the proxy's listeners"
                while not await asyncio.to_thread(netfilter.listening, Path(shared or target.netns)) >= _PORTS:
                    self._refused(target)
                    await asyncio.sleep(0.005)
                if (answered := self.applied()) is not None:  # who listens may be the application
                    await answered
                self._refused(target)
        except TimeoutError:
            why = certificates.problems.get(self.identity(state), "")
            raise TimeoutError(f"waited {_SERVE_SECONDS:g} s for {step}{': ' if why else ''}{why}") from None

    def _refused(self, target: Target) -> None:
        if vital := [each for each in self.refusals() if each.pod == target.uid and each.vital]:
            raise ProxyRefused(str(vital[0]))

    async def withdraw(self, target: Target) -> None:
        if self._pods.pop(target.uid, None) is not None:
            self._remembered.discard(target.uid)
            self._pods_changed()

    def want_others(self) -> None:
        """`others` says something else now."""
        if self.certificates is not None:
            self._want()

    def _want(self) -> Certificates:
        assert self.certificates is not None, "certificates are set before the driver starts"
        self.certificates.want({self.identity(pod) for pod in self._pods.values()} | self.others())
        return self.certificates

    def identity(self, pod: PodState | Target) -> str:
        domain = self._store.mesh.settings.trust_domain
        return f"spiffe://{domain}/ns/{pod.namespace}/sa/{pod.service_account}"

    # ------------------------------------------------------------------------------------------------ what Envoy said
    def refusals(self) -> tuple[Refusal, ...]:
        """What Envoy does not take now; a later accepted version or the resource's end takes it off the list."""
        found: list[Refusal] = []
        for state in self._sessions():
            for url, known in state.types.items():
                for name, reason in known.refused.items():
                    if self.cache.find(url, name) is not None:
                        found.append(Refusal(url, name, names.pod_of(name) or "", _short(reason)))
        return tuple(found)

    def types(self) -> dict[str, Mapping[str, Any]]:
        """Per type: how many resources there are, and how Envoy's subscription to it stands."""
        rows: dict[str, dict[str, Any]] = {
            url: {"resources": len(named), "subscribed": False, "acknowledged": "", "waiting": 0}
            for url, named in self.cache.bundle.types.items()
        }
        for state in self._sessions():
            for url, known in state.types.items():
                row = rows.setdefault(url, {"resources": 0})
                row |= {"subscribed": True, "acknowledged": known.acknowledged, "waiting": known.waiting}
        return dict(sorted(rows.items()))

    def _sessions(self) -> list[SessionState]:
        return [state for state in self.cache.statistics() if isinstance(state, SessionState)]


def _short(reason: str) -> str:
    return " ".join(reason.split())[:400]
