"""Objects in, workload discovery out: watch -> objects -> compile -> encode -> cache, one step after the other.

A change after a quiet time is compiled at once, with what came in the same breath; while changes pour in they coalesce,
never waiting longer than the cap. What only touches status that nobody compiles ends at the first comparison.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from plait.app.essence import essence
from plait.app.readable import Readable
from plait.app.telling.kept import Kept
from plait.app.telling.telling import Telling
from plait.base.bundle import Bundle
from plait.base.bundle import Resource as Named
from plait.base.observe import logger
from plait.model.compile import compile
from plait.model.compile.traffic.mesh_settings import CONFIG_MAP
from plait.model.issuers import NOBODY, Providers
from plait.model.mesh import Mesh, Settings
from plait.model.policies import Policy
from plait.resources import closed, kinds
from plait.resources.decode import decode
from plait.resources.kinds import Kind
from plait.resources.kubernetes import ConfigMap
from plait.resources.meta import Key, Resource
from plait.resources.objects import Objects
from plait.resources.problems import Problem, ordered
from plait.store.api import Document
from plait.wds.encode import Encoded, encode
from plait.xds.cache import Cache

READ: tuple[Kind, ...] = (
    kinds.POD,
    kinds.SERVICE,
    kinds.ENDPOINT_SLICE,
    kinds.NODE,
    kinds.AUTHORIZATION_POLICY,
    kinds.PEER_AUTHENTICATION,
    kinds.SERVICE_ENTRY,
    kinds.WORKLOAD_ENTRY,
    kinds.NAMESPACE,
    kinds.CONFIG_MAP,
    kinds.SECRET,
    kinds.VIRTUAL_SERVICE,
    kinds.DESTINATION_RULE,
    kinds.ISTIO_GATEWAY,
    kinds.SIDECAR,
    kinds.ENVOY_FILTER,
    kinds.PROXY_CONFIG,
    kinds.REQUEST_AUTHENTICATION,
    kinds.TELEMETRY,
    kinds.WASM_PLUGIN,
    kinds.TRAFFIC_EXTENSION,
    kinds.GATEWAY_CLASS,
    kinds.GATEWAY,
    kinds.LISTENER_SET,
    kinds.HTTP_ROUTE,
    kinds.GRPC_ROUTE,
    kinds.TCP_ROUTE,
    kinds.TLS_ROUTE,
    kinds.UDP_ROUTE,
    kinds.REFERENCE_GRANT,
    kinds.BACKEND_TLS_POLICY,
    kinds.LIMIT_POLICY,
)
_SETTLE, _CAP, _IDLE = 0.003, 0.050, 1.0
_log = logger("pipeline")


class Run(NamedTuple):
    """One way of changes through here, in seconds of the machine's monotonic clock."""

    heard: float
    """The first of the changes."""
    began: float
    compiled: float
    told: float
    """Projected, translated, encoded, and the streams woken."""


@dataclass(slots=True)
class Statistics:
    """For metrics; seconds are of the last run."""

    compiles: int = 0
    pushes: int = 0
    compile_seconds: float = 0.0
    encode_seconds: float = 0.0
    errors: int = 0
    total: dict[str, int] = field(default_factory=dict)
    runs: deque[Run] = field(default_factory=lambda: deque(maxlen=1024))


class Pipeline:
    """Feed it documents with `changed`; its `cache` is what streams are served from. Silent until `open()`."""

    def __init__(
        self,
        settings: Settings,
        on_problems: Callable[[tuple[Problem, ...]], None] | None = None,
        readable: Readable | None = None,
        kept: Kept | None = None,
    ) -> None:
        self.cache = Cache()
        self.mesh = self.told = Mesh(settings)
        """What objects mean, and what of it is told now (see `app.telling`)."""
        self.problems: tuple[Problem, ...] = ()
        self.statistics = Statistics()
        self._settings = settings
        self._configuration = settings.root_namespace, CONFIG_MAP
        self._objects = Objects()
        self._unread: dict[Key, tuple[Problem, ...]] = {}
        self._readable = readable or Readable()
        self._closed: set[Key] = set()
        """Those of which no readable state was ever seen."""
        self._encoded: Encoded | None = None
        self._on_problems = on_problems
        self.on_mesh: Callable[[], None] = lambda: None
        """Called after each compile, also of an equal Mesh: contents of secrets are not in it."""
        self.l7: Callable[[], Iterable[Cache]] = lambda: ()
        """What L7 proxies are served from."""
        self.on_compiled: Callable[[], None] = lambda: None
        """Called after every compile, when `mesh` and `problems` are what `objects` mean."""
        self._compiled: Objects | None = None
        self._providers = NOBODY
        self._added: Mapping[str, Policy] = {}
        self._merged: tuple[Mapping[str, Policy], Mapping[str, Policy], Mapping[str, Policy]] | None = None
        self._beside: dict[str, Mapping[str, Named]] = {}
        self._open = False
        self._compile_problems: tuple[Problem, ...] = ()
        self._telling = Telling(lambda: (self.cache, *self.l7()), kept)
        self._due: asyncio.TimerHandle | None = None
        self._again: asyncio.TimerHandle | None = None
        self._waiting_since = self._ran = 0.0

    def changed(self, kind: Kind, old: Document | None, new: Document | None) -> None:
        """One object came, changed or went. One that became unreadable is dropped, and said; a security object is not:
        see `resources.closed`."""
        document = new or old
        if document is None:
            return
        key = Key(str(kind), document["metadata"].get("namespace", ""), document["metadata"]["name"])
        before, unread = self._objects, self._unread.pop(key, ())
        if new is None:
            self._objects = self._objects.without(key)
            self._closed.discard(key)
            if self._keeps(kind, key):
                self._readable.forget(key)
        else:
            typed, problems = self._in_effect(kind, key, new)
            if problems:
                self._unread[key] = problems
            self._objects = self._objects.without(key) if typed is None else self._objects.with_(essence(typed))
        if self._objects is not before or unread != self._unread.get(key, ()):
            self._wake()

    def refused(self, kind: Kind, document: Document, problem: Problem) -> None:
        """This state of the object does not hold: the one before does, and the problem is said."""
        key = Key(str(kind), document["metadata"].get("namespace", ""), document["metadata"]["name"])
        self._unread[key] = (problem,)
        self._wake()

    def _in_effect(self, kind: Kind, key: Key, document: Document) -> tuple[Resource | None, tuple[Problem, ...]]:
        """What the document says, or what holds instead of it, and what is wrong."""
        typed, problems = decode(document)
        if typed is None or any(problem.severity == "error" for problem in problems):
            last = None if key in self._closed else self._last(kind, key, document)
            if last is None:
                self._closed.add(key)
            typed, said = closed.in_effect(document, last)
            return typed, (*problems, *said)
        self._closed.discard(key)
        said = ()
        if isinstance(typed, ConfigMap) and (key.namespace, key.name) == self._configuration:
            last = self._last(kind, key, document)
            typed, said = closed.configuration(typed, last if isinstance(last, ConfigMap) else None)
        if not said and self._keeps(kind, key):
            self._readable.note(key, document)
        return typed, (*problems, *said)

    def _keeps(self, kind: Kind, key: Key) -> bool:
        return kind in closed.KINDS or (kind == kinds.CONFIG_MAP and (key.namespace, key.name) == self._configuration)

    def _last(self, kind: Kind, key: Key, document: Document) -> Resource | None:
        """The state in effect; at a start, when there is none, that of before."""
        found: Resource | None = self._objects.get(kind, key.name, key.namespace)
        return found if found is not None or not self._keeps(kind, key) else self._readable.last(key, document)

    @property
    def leaving(self) -> Mapping[str, str]:
        """Service -> the waypoint it had ("" none), while not everybody knows the way that it has now."""
        return self._telling.leaving

    @property
    def settled(self) -> bool:
        """Are `mesh` and `problems` what the present `objects` mean? Not while a compile is due, or has failed."""
        return self._due is None and self._compiled is self._objects

    def open(self) -> None:
        """Everything was read once: compile the first world. A half-read one would remove the rest at the agents."""
        self._open = True
        kept = ((kind, name) for kind in (*closed.KINDS, kinds.CONFIG_MAP) for name in self._objects.of(kind))
        self._readable.only({Key(str(kind), *name) for kind, name in kept})
        self._run()

    def beside(self, url: str, resources: Mapping[str, Named]) -> None:
        """Serve a type that is not compiled from objects (the trust bundle)."""
        self._beside[url] = resources
        if self._encoded is not None:
            self._set()

    @property
    def objects(self) -> Objects:
        """What was compiled last, or is about to be."""
        return self._objects

    def adopt(self, policies: Mapping[str, Policy]) -> None:
        """Policies that hold beside those compiled from objects (revoked identities)."""
        if policies != self._added:
            self._added = policies
            self._wake()

    def discovered(self, providers: Providers) -> None:
        """What issuers of tokens say of their keys now."""
        if providers != self._providers:
            self._providers = providers
            self._wake()

    def _with_added(self, mesh: Mesh) -> Mesh:
        if not self._added:
            return mesh
        if self._merged is None or self._merged[0] is not mesh.policies or self._merged[1] is not self._added:
            self._merged = (mesh.policies, self._added, {**mesh.policies, **self._added})
        return msgspec.structs.replace(mesh, policies=self._merged[2])

    def _set(self) -> None:
        if self._encoded is not None:
            self.cache.set(Bundle({**self._encoded.bundle.types, **self._beside}))

    def _wake(self) -> None:
        if not self._open:
            return
        loop = asyncio.get_running_loop()
        if self._due is None:
            self._waiting_since = loop.time()
        elif loop.time() - self._waiting_since > _CAP:
            return
        else:
            self._due.cancel()
        quiet = self._due is None and loop.time() - self._ran > _CAP
        self._due = loop.call_later(0.0 if quiet else _SETTLE, self._run)

    def _tell(self, mesh: Mesh) -> None:
        """Tell as much of it as is to be told now: L7 proxies first, for node proxies will send to them."""
        loop = asyncio.get_running_loop()
        if self._again is not None:
            self._again.cancel()
            self._again = None
        began = time.perf_counter()
        told = self._telling.told(mesh, loop.time())
        encoded = encode(self._with_added(told), self._encoded)
        self.statistics.encode_seconds = time.perf_counter() - began
        self.mesh, self.told, before, self._encoded = mesh, told, self._encoded, encoded
        self.on_mesh()
        if before is None or any(before.bundle.of(url) is not encoded.bundle.of(url) for url in encoded.bundle.types):
            self.statistics.pushes += 1
            self._set()
        self._telling.spoken(loop.time())
        self._look_later()

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        if (at := self._telling.next(loop.time())) is not None:
            self._again = loop.call_at(at, self._look)

    def _look(self) -> None:
        """While something is told in stages: has everybody acknowledged the last one?"""
        if not self._telling.due(asyncio.get_running_loop().time()):
            self._look_later()
            return
        try:
            self._tell(self.mesh)
        except Exception as error:
            self._failed(error)
            return
        self._said()
        self.on_compiled()

    def _failed(self, error: Exception) -> None:
        """A defect of ours must not take the mesh down: the last good world stays."""
        self.statistics.errors += 1
        _log.error("compile failed; the last configuration stays", error=repr(error), exc_info=error)

    def _said(self) -> None:
        unread = (problem for each in self._unread.values() for problem in each)
        found = ordered((*self._compile_problems, *self._telling.problems, *unread))
        if found != self.problems:
            self.problems = found
            if self._on_problems is not None:
                self._on_problems(found)

    def _run(self) -> None:
        self._due = None
        began = time.monotonic()
        try:
            mesh, problems = compile(self._objects, self.mesh, settings=self._settings, providers=self._providers)
            compiled = time.monotonic()
            self._tell(mesh)
        except Exception as error:
            self._failed(error)
            return
        self.statistics.compiles += 1
        self.statistics.compile_seconds = compiled - began
        self.statistics.runs.append(Run(self._waiting_since, began, compiled, time.monotonic()))
        self._compile_problems = problems
        self._said()
        self._compiled, self._ran = self._objects, time.monotonic()
        self.on_compiled()

    @property
    def idle(self) -> bool:
        """Nothing has changed for a while."""
        return self._due is None and time.monotonic() - self._ran > _IDLE
