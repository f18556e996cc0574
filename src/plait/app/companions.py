"""What stands beside each L7 proxy of a node: its folder, its configuration, its certificate. One agent for all.

A proxy reads only the folder that its pod's container mounts: the program, the bootstrap and a socket of its own, so
the socket tells who asks. What the control plane said last is kept there too: a proxy that starts while the control
plane is away gets it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from plait.app.snapshot import Snapshot
from plait.app.taken import Taken
from plait.app.waiting import Waiting
from plait.base import aio
from plait.base.bundle import Bundle, Resource
from plait.base.observe import logger
from plait.base.wellknown import (
    CLAIMED,
    GATEWAY_NAME,
    MANAGED,
    POOL_NAMESPACE,
    PROXY_DIRECTORY,
    PROXY_UID,
    SIDECAR_STATUS,
    WARM,
)
from plait.envoy import names
from plait.envoy.l7 import bootstrap
from plait.envoy.l7.bundle import URLS
from plait.envoy.wire import resource
from plait.model import pool
from plait.model.proxies import Proxy, Role
from plait.proxy.admin import Admin, AdminError
from plait.proxy.certs import Certificates
from plait.proxy.metrics import MetricsServer
from plait.proxy.processes import envoy_binary
from plait.resources import injection
from plait.store.api import Document
from plait.xds import server as xds
from plait.xds.cache import Cache
from plait.xds.client import Applied, Client, OnDelta

_log = logger("companions")
_SAVE_AFTER = 0.5
"""Seconds from a change to its being on disk. Who starts without it is told again by the control plane."""
_MESH_CONTROLLER = "istio.io-mesh-controller"
TYPES = (*URLS.values(), names.SECRET)
Upstream = Callable[[str, tuple[str, ...], OnDelta, Applied], Client]
"""(node id, types, on_delta, applied) -> a stream to the control plane in the name of that proxy."""


def role_of(pod: Document) -> Role | None:
    """Which L7 proxy a pod holds, None when none."""
    meta = pod["metadata"]
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    if GATEWAY_NAME in labels or _is_warm(pod):
        return "waypoint" if labels.get(MANAGED) == _MESH_CONTROLLER else "gateway"
    if SIDECAR_STATUS not in annotations:
        return None
    return "gateway" if injection.is_gateway(annotations) else "sidecar"


def _is_warm(pod: Document) -> bool:
    """Does it run for nobody yet?"""
    metadata = pod["metadata"]
    labels = metadata.get("labels") or {}
    return metadata.get("namespace") == POOL_NAMESPACE and WARM in labels and CLAIMED not in labels


@dataclass(slots=True)
class _Companion:
    proxy: Proxy
    folder: Path
    snapshot: Snapshot
    bound: bool = True
    """It works for somebody: a warm proxy has no certificate and hears nothing until it is claimed."""
    follow: Callable[[], Coroutine[Any, Any, None]] | None = None
    cache: Cache = field(default_factory=Cache)
    waiting: Waiting = field(default_factory=Waiting)
    server: xds.Server | None = None
    page: MetricsServer | None = None
    stream: asyncio.Task[Any] | None = None
    draining: bool = False
    saving: asyncio.TimerHandle | None = None

    def keep(self) -> None:
        """Write the snapshot soon: all of it is written each time, so not for every change of many."""
        if self.saving is None:
            self.saving = asyncio.get_running_loop().call_later(_SAVE_AFTER, self.save)

    def save(self) -> None:
        if self.saving is not None:
            self.saving.cancel()
            self.saving = None
            self.snapshot.save()


class Companions:
    """`attached` before a pod's containers start, `detaching` when it goes, `refresh` when certificates changed."""

    def __init__(self, folder: Path, node: str, trust_domain: str, upstream: Upstream) -> None:
        self._folder, self._node, self._domain, self._upstream = folder, node, trust_domain, upstream
        self._by_uid: dict[str, _Companion] = {}
        self.certificates: Certificates | None = None
        self.changed: Callable[[], None] = lambda: None
        """Called when `identities` changed."""

    @property
    def identities(self) -> set[str]:
        return {each.proxy.identity for each in self._by_uid.values() if each.bound}

    @property
    def proxies(self) -> tuple[tuple[Proxy, Path, Cache], ...]:
        """Every L7 proxy of the node: who it is, where its folder is, and what it is told."""
        return tuple((each.proxy, each.folder, each.cache) for each in self._by_uid.values())

    @property
    def answered(self) -> tuple[xds.Answered, ...]:
        """What Envoys of L7 proxies have answered of late, and when."""
        servers = (each.server for each in self._by_uid.values() if each.server is not None)
        return tuple(answer for server in servers for answer in server.answered)

    async def attached(self, pod: Document, addresses: tuple[str, ...]) -> None:
        """Returns when the proxy can be started; OSError when its folder cannot be made."""
        uid, role = pod["metadata"]["uid"], role_of(pod)
        if role is None or uid in self._by_uid:
            return
        proxy, folder = self._proxy(pod, addresses, role), self._folder / uid
        await asyncio.to_thread(_prepare, folder, proxy)
        found = _Companion(proxy, folder, Snapshot(folder / "configuration"), not _is_warm(pod))
        found.snapshot.load()
        self._by_uid[uid] = found
        found.page = await _shown(folder)

        def on_delta(url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]) -> None:
            found.snapshot.apply(url, resources, removed)
            self._tell(found)
            found.keep()

        taken = Taken(found.cache)
        client = self._upstream(bootstrap.node_id(proxy), TYPES, on_delta, lambda: taken.by(found.cache.generation))

        def judged(url: str, refused: Mapping[str, str]) -> None:
            client.judge(url, "; ".join(dict.fromkeys(refused.values())))

        found.server = await _serving(found.cache, folder / "xds.sock", judged)
        found.follow = client.run
        if found.bound:
            self._bind(found)
        self._tell(found)

    def updated(self, pod: Document) -> None:
        """A warm proxy that was claimed gets its waypoint's certificate and configuration."""
        found, role = self._by_uid.get(pod["metadata"]["uid"]), role_of(pod)
        if found is None or found.bound or role is None or _is_warm(pod):
            return
        found.proxy, found.bound = self._proxy(pod, found.proxy.addresses, role), True
        self._bind(found)
        self._tell(found)

    def _bind(self, found: _Companion) -> None:
        assert found.follow is not None
        name = f"{found.proxy.namespace}/{found.proxy.name}"
        found.stream = aio.spawn(found.follow(), f"configuration of {name}")
        self.changed()

    async def drain(self, uid: str) -> None:
        """The pod is being deleted: connections are asked to end, new ones are served to the last. Once is enough."""
        found = self._by_uid.get(uid)
        if found is None or found.draining:
            return
        found.draining = True
        admin = Admin(found.folder / "admin.sock")
        try:
            await admin.fail_health()
            # The application goes on calling others while it ends.
            await admin.go_away(inbound_only=found.proxy.role == "sidecar")
        except AdminError as error:  # it ended by itself, or never began
            _log.debug("not drained", proxy=f"{found.proxy.namespace}/{found.proxy.name}", reason=error)
        finally:
            await admin.close()

    async def detaching(self, uid: str) -> None:
        """Its folder goes with it."""
        if (found := self._by_uid.pop(uid, None)) is not None:
            await _end(found)
            self.changed()
        await asyncio.to_thread(shutil.rmtree, self._folder / uid, True)

    async def close(self) -> None:
        """Folders stay: the proxies run on, and our successor goes on with them."""
        for found in self._by_uid.values():
            await _end(found)
        self._by_uid.clear()

    def refresh(self) -> None:
        for found in self._by_uid.values():
            self._tell(found)

    def _tell(self, found: _Companion) -> None:
        types = found.snapshot.types
        own = self._secrets(found.proxy.identity) if found.bound else {}
        secrets = {**types.get(names.SECRET, {}), **own}
        clusters = found.waiting.early(types.get(names.CLUSTER, {}))
        bundle = Bundle({**types, names.CLUSTER: clusters, names.SECRET: secrets})
        found.cache.set(bundle, lookup=found.waiting.find)

    def _secrets(self, identity: str) -> dict[str, Resource]:
        """Its own certificate and the mesh's roots, by the names that Istio gives them."""
        if self.certificates is None:
            return {}
        documents = self.certificates.secrets(names.ROOT_SECRET)
        chosen = {"default": documents.get(identity), names.ROOT_SECRET: documents.get(names.ROOT_SECRET)}
        return {
            name: resource(names.SECRET, name, {**document, "name": name})
            for name, document in chosen.items()
            if document is not None
        }

    def _proxy(self, pod: Document, addresses: tuple[str, ...], role: Role) -> Proxy:
        meta, spec = pod["metadata"], pod["spec"]
        return Proxy(
            role=role,
            namespace=meta["namespace"],
            name=meta["name"],
            labels=tuple(sorted((meta.get("labels") or {}).items())),
            service_account=pool.identity(
                meta["namespace"], meta.get("labels") or {}, spec.get("serviceAccountName") or "default"
            ),
            addresses=addresses,
            node=self._node,
            trust_domain=self._domain,
        )


async def _serving(cache: Cache, socket: Path, judged: xds.Judged) -> xds.Server:
    async def connect(peer: xds.Peer, first: object) -> Cache:
        return cache

    socket.unlink(missing_ok=True)
    server = xds.Server(connect, judged=judged)
    await server.start(f"unix:{socket}")
    _give(socket)
    return server


async def _shown(folder: Path) -> MetricsServer:
    """The proxy's numbers under Istio's names, for the proxy itself to pass on to who scrapes its pod."""
    socket, admin = folder / "metrics.sock", Admin(folder / "admin.sock")
    socket.unlink(missing_ok=True)
    page = MetricsServer(admin.prometheus, CollectorRegistry(), ended=admin.close)
    await page.start_at(socket)
    _give(socket)
    return page


async def _end(found: _Companion) -> None:
    await aio.cancel(found.stream)
    found.save()
    if found.server is not None:
        await found.server.stop(0)
    if found.page is not None:
        await found.page.stop()


def _prepare(folder: Path, proxy: Proxy) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    xds_socket, admin, metrics = (f"{PROXY_DIRECTORY}/{name}.sock" for name in ("xds", "admin", "metrics"))
    wanted = bootstrap.ProxyBootstrap(proxy, xds_socket, admin, metrics=metrics)
    file = folder / "bootstrap.json"
    file.write_text(bootstrap.text(wanted))
    program = folder / "envoy"
    if not program.exists():
        # The proxy's user may not reach where the program was installed; a link costs nothing where one is possible.
        source = envoy_binary()
        try:
            os.link(source, program)
        except OSError:
            shutil.copy2(source, program)
    _give(folder)
    _give(file)


def _give(path: Path) -> None:
    """To the proxy's user and group: a transparent one is root with few rights. Without root there is one user."""
    with contextlib.suppress(PermissionError, OSError):
        os.chown(path, PROXY_UID, PROXY_UID)
        path.chmod(0o770 if path.is_dir() else 0o660)
