"""What each sidecar, waypoint and gateway is told: one Cache a connected proxy, kept in step with the Mesh.

A proxy costs something only while it is connected. Its view is projected anew after each compile; parts that are equal
come back as they were, and an equal view is not translated. Of secrets only those that it names are told (a gateway's
certificates); its own certificate is its node agent's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from plait.app.asked import View, said
from plait.app.kins import Kins
from plait.app.lingering import Lingering
from plait.base.bundle import Bundle, Resource
from plait.base.observe import logger
from plait.base.revision import differing
from plait.envoy import names
from plait.envoy.l7.options import DEFAULT, Options
from plait.envoy.l7.parts import Parts
from plait.envoy.wire import resource
from plait.model.mesh import Mesh
from plait.model.proxies import Proxy, Role
from plait.model.views import lookup
from plait.model.views.asking import proxy_of
from plait.resources.problems import Problem
from plait.xds.cache import Cache
from plait.xds.session import SessionState

Document = dict[str, Any]
_log = logger("proxies")
_WORDS = 1000
"""Characters of a proxy's refusal that a status shows."""
ROLES: dict[str, Role] = {"sidecar": "sidecar", "waypoint": "waypoint", "router": "gateway"}
"""By the first word of a node id (`<type>~<address>~<pod>.<namespace>~<domain>`)."""


@dataclass(slots=True)
class _Told:
    proxy: Proxy
    cache: Cache = field(default_factory=Cache)
    view: View | None = None
    parts: Parts = field(default_factory=Parts)
    said: Bundle = field(default_factory=Bundle)
    """What follows from the view."""
    lingering: Lingering = field(default_factory=Lingering)
    due: asyncio.TimerHandle | None = None
    problems: tuple[Problem, ...] = ()
    secrets: frozenset[str] = frozenset()


class UnknownProxy(Exception):
    """No pod of this name is known (yet), or its node id cannot be read; the message says which."""


def named(node_id: str) -> tuple[Role, str, str]:
    """Role, namespace and pod name that a node id tells. UnknownProxy when it is of another form."""
    kind, _, rest = node_id.partition("~")
    parts = rest.split("~")
    pod, _, namespace = parts[1].rpartition(".") if len(parts) == 3 else ("", "", "")
    if kind not in ROLES or not pod or not namespace:
        wanted = "<sidecar|waypoint|router>~<address>~<pod>.<namespace>~<domain>"
        raise UnknownProxy(f'node id "{node_id}" is not of the form {wanted}')
    return ROLES[kind], namespace, pod


class ProxyCaches:
    """`await connect(role, namespace, pod)` for a stream that opens, `changed()` after each compile."""

    def __init__(
        self,
        mesh: Callable[[], Mesh],
        secret: Callable[[str], Document | None],
        now: Callable[[], float] = time.monotonic,
        options: Options = DEFAULT,
        entitled: Callable[[str, str], bool] = lambda namespace, pod: True,
    ) -> None:
        """`secret(name)` is Envoy's Secret document with its key. `entitled(namespace, pod)`: is it what it says?"""
        self._entitled = entitled
        self._mesh, self._secret, self._now, self._options = mesh, secret, now, options
        self._told: dict[tuple[Role, str, str], _Told] = {}
        self._kins = Kins(options)
        self._again: asyncio.Future[None] | None = None
        self._last: Mesh | None = None

    async def connect(self, role: Role, namespace: str, pod: str, patience: float = 20.0) -> Cache:
        """The same as `cache`, but a pod that is only just being started is waited for (seconds)."""
        try:
            async with asyncio.timeout(patience):
                while self._proxy(role, namespace, pod) is None:
                    self._again = self._again or asyncio.get_running_loop().create_future()
                    await asyncio.shield(self._again)
        except TimeoutError:
            pass  # `cache` says what is missing
        return self.cache(role, namespace, pod)

    def cache(self, role: Role, namespace: str, pod: str) -> Cache:
        """What this proxy is told from now on. UnknownProxy while its pod is unknown: it tries again."""
        key = (role, namespace, pod)
        proxy = self._proxy(*key)
        if proxy is None:
            raise UnknownProxy(f"no pod {namespace}/{pod} with an address is known yet")
        if key not in self._told:
            made = self._told[key] = _Told(proxy)
            made.cache.on_answer = lambda: self._answered(made)
        self._tell(self._told[key], proxy)
        return self._told[key].cache

    def changed(self) -> None:
        """The Mesh is another: tell those who are connected, forget those who are not."""
        if self._again is not None:
            self._again.set_result(None)
            self._again = None
        mesh, last = self._mesh(), self._last
        if last is not None:
            lookup.carried(last.l7, mesh.l7)
        self._last = mesh
        for key, told in list(self._told.items()):
            proxy = self._proxy(*key)
            if not any(True for _ in told.cache.statistics()):
                del self._told[key]
                if told.due is not None:
                    told.due.cancel()
            elif proxy is not None:  # a pod that has gone keeps what it had until its stream ends
                self._tell(told, proxy)
        self._kins.keep(mesh)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What could not be said to some connected proxy."""
        return tuple(problem for told in self._told.values() for problem in told.problems)

    def served(self) -> Iterator[Cache]:
        """The cache of each."""
        return (told.cache for told in self._told.values())

    def refused(self) -> dict[str, str]:
        """Gateway ("ns/name") -> which of its proxies refuses what of its configuration, in the proxy's words."""
        found: dict[str, str] = {}
        for told in self._told.values():
            for state in told.cache.statistics():
                if told.proxy.gateway and isinstance(state, SessionState):
                    words = dict.fromkeys(w for each in state.types.values() for w in each.refused.values())
                    if words:
                        text = "; ".join(words)[:_WORDS]
                        found[told.proxy.gateway] = f"proxy {told.proxy.name} keeps its last configuration: {text}"
        return found

    def _proxy(self, role: Role, namespace: str, pod: str) -> Proxy | None:
        if not self._entitled(namespace, pod):
            return None
        mesh = self._mesh()
        return proxy_of(mesh, f"{mesh.settings.cluster_id}//Pod/{namespace}/{pod}", role)

    def _tell(self, told: _Told, proxy: Proxy) -> None:
        try:
            view, made = said(self._mesh(), proxy, told.view, told.parts, self._options, self._kins)
        except Exception as error:  # a defect of ours costs this proxy its update, never its configuration
            name = f"{proxy.namespace}/{proxy.name}"
            _log.error("not translated; the last configuration stays", proxy=name, exc_info=error)
            return
        told.proxy, told.view = proxy, view
        if made is not None:
            told.problems, told.secrets = made.problems, made.secrets
            told.said = made.bundle
        self._push(told)

    def _push(self, told: _Told) -> None:
        """What was said, what of before lingers, and the secrets."""
        now = self._now()
        bundle = told.lingering.added(told.cache.bundle, told.said, now)
        bundle = _shared(told.cache, Bundle({**bundle.types, names.SECRET: self._secrets(told.secrets)}))
        if any(
            bundle.of(url) is not told.cache.of(url) for url in bundle.types.keys() | told.cache.bundle.types.keys()
        ):
            told.cache.set(bundle)
        self._answered(told)
        self._later(told, now)

    def _answered(self, told: _Told) -> None:
        """Has the proxy acknowledged what it was told? Then what lingers does so for the drain time."""
        if told.lingering.waits and not any(True for _ in told.cache.behind(told.cache.generation)):
            now = self._now()
            told.lingering.answered(now)
            self._later(told, now)

    def _later(self, told: _Told, now: float) -> None:
        if told.due is not None:
            told.due.cancel()
            told.due = None
        if (ends := told.lingering.ends) is not None:
            told.due = asyncio.get_running_loop().call_later(ends - now, self._push, told)

    def _secrets(self, wanted: frozenset[str]) -> dict[str, Resource]:
        found = ((name, self._secret(name)) for name in sorted(wanted))
        return {name: resource(names.SECRET, name, document) for name, document in found if document is not None}


def _shared(cache: Cache, new: Bundle) -> Bundle:
    """With the mappings that were served before wherever nothing in them changed."""
    pairs = ((url, cache.of(url), resources) for url, resources in new.types.items())
    return Bundle({url: resources if _news(old, resources) else old for url, old, resources in pairs})


def _news(old: Mapping[str, Resource], new: Mapping[str, Resource]) -> bool:
    return any(old.get(name) != new.get(name) for name in differing(old, new))
