"""The node agent, joined: workload stream -> project -> translate -> Envoy, certificates, capture, metrics, status.

`start` returns when Envoy is ready and pods can be captured; it does not wait for the control plane, whose last word is
on disk. The kubelet gets `agent.hook`. On `close` Envoy ends with us; after a crash the next agent adopts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from plait.app import agent_status, loads, usages
from plait.app.agent_commands import AgentCommands
from plait.app.agent_metrics import AgentMetrics
from plait.app.companions import Companions
from plait.app.configuration import Configuration
from plait.app.naming import Naming, captured, meanings
from plait.app.node_api import AgentToken, Announcements
from plait.app.node_pods import NodePods
from plait.app.place import Place
from plait.app.pod_resolvers import InPods
from plait.app.proxy_reports import ProxyReports
from plait.app.refusals import Complaints
from plait.app.served import Served
from plait.app.shared_resolver import Shared
from plait.app.snapshot import Snapshot
from plait.app.trusting import Trusting
from plait.app.uplink import Uplink
from plait.base import aio
from plait.base.observe import logger
from plait.base.wellknown import METRICS_PORT
from plait.envoy import bootstrap
from plait.envoy.options import Options
from plait.local.kubelet import single_user
from plait.model.views.datagrams import CLOSED
from plait.node import migration
from plait.node.classic.form import Classic
from plait.node.classic.plumbing import Plumbing
from plait.node.driver import Driver
from plait.node.forms import InPod, Target
from plait.node.hook import CaptureHook
from plait.node.machine import Capture
from plait.node.sidecar import Sidecars
from plait.proxy.admin import Admin
from plait.proxy.ca_client import CaClient
from plait.proxy.certs import Certificates
from plait.proxy.keyring import Keyring
from plait.proxy.metrics import MetricsServer
from plait.proxy.processes import NODE_PROXY_NICE
from plait.proxy.supervise import Settings as EnvoySettings
from plait.proxy.supervise import StartFailed, Supervisor
from plait.store.api import Api, Document
from plait.xds import server as xds
from plait.xds.cache import Cache

_NODE_NAMESPACE = Path("/proc/self/ns/net")
TIMINGS = "/timings"
"""Page of when L7 proxies answered for what they were told."""
_log = logger("agent")
_ROOT_SECONDS, _READY_SECONDS = 30.0, 60.0


class Agent:
    """A running node agent. `hook` is the kubelet's; `states()` says where each pod stands."""

    def __init__(self, place: Place, api: Api) -> None:
        self.place, self._api = place, api
        self._snapshot = Snapshot(place.folder / "workloads")
        self._snapshot.load()
        shared = place.proxy_namespace
        options = Options(
            access_log=str(place.folder / "access.log"), eager=place.eager, shared_netns=str(shared or "")
        )
        self._classic = (
            Classic(Plumbing(_NODE_NAMESPACE, shared), place.addresses, place.proxy_addresses) if shared else None
        )
        served = Served(place.folder / "served.bin")
        self.config = Configuration(place.node, place.settings, self._snapshot, options, served)
        self._metrics = AgentMetrics()
        self.admin = Admin(place.folder / "admin.sock")
        self.supervisor = Supervisor(
            _envoy(place), self.admin, self._proxy_lost, prepare=self._may_hand_over, ended=self._metrics.ended.add
        )
        self._pods = NodePods(api, place.node)
        self.targets: dict[str, Target] = {}
        announcements = Announcements(api, place.node)
        lookup = meanings(lambda: self.config.view.index)
        self._naming = Naming(
            self.config,
            Shared(_NODE_NAMESPACE, shared, place.proxy_addresses, lookup) if shared else InPods(lookup),
        )
        self.driver = Driver(
            self._naming,
            announcements,
            self._pods.enrolled,
            form=self._classic or InPod(addresses=place.addresses, unjudged=CLOSED),
            names=self._names_captured,
            changed=self._capture_changed,
        )
        self.config.on_judged = self.driver.judged
        self._token = AgentToken(api, place.node)
        self._uplink = Uplink(place, self._token)
        self.companions = Companions(place.layout.proxies, place.node, place.settings.trust_domain, self._uplink.proxy)
        self.companions.changed = self.config.want_others
        self.config.others = lambda: self.companions.identities
        self.sidecars = Sidecars(obstacle=sidecar_obstacle())
        self.hook = CaptureHook(self.driver, proxies=self.companions, sidecars=self.sidecars)
        self._complaints = Complaints(self.config, announcements, self.targets)
        self._tasks: list[asyncio.Task[Any]] = []
        self._closers: list[Callable[[], Awaitable[Any]]] = [self.admin.close]
        self._metrics.watch(self.config, self.driver.states, lambda: self.connection)

    @property
    def connection(self) -> agent_status.Connection:
        return self._uplink.connection

    def states(self) -> dict[str, Capture]:
        return self.driver.states()

    async def start(self) -> None:
        """Start the parts in order of need; each leaves its way to end."""
        if self._classic is not None:
            await self._classic.start()
        await self._serve_envoy()
        self._run(self._pods.pods.run(), "pods of the node")
        self._run(self._pods.namespaces.run(), "namespaces")
        self._run(self.supervisor.run(), f"envoy {self.place.node}")
        roots = await _roots(self.place.layout.mesh_ca / "root-cert.pem")
        self._hold_certificates(roots)
        self._hear_control_plane()
        await self._serve_metrics()
        await self._pods.synced()
        self.config.forget_others({pod["metadata"]["uid"] for pod in self._pods.pods.cache.values()})
        self._follow_pods()
        self._run(self.driver.run(), "capture reconciler")
        self._run(self.sidecars.run(), "capture of pods with a sidecar")
        self._run(self._complaints.run(), "refusals")
        async with asyncio.timeout(_READY_SECONDS):
            await self.supervisor.ready.wait()
        if why := self.supervisor.outdated():
            self._run(self._upgrade(why), "upgrade of envoy")

    async def close(self, *, stop_proxy: bool = True) -> None:
        await aio.cancel(*self._tasks)
        await self.driver.close()
        await self._naming.close()
        if stop_proxy:
            await self.supervisor.stop()
        else:
            await self.supervisor.retired.leave()
            if self._classic is not None:
                await self._classic.stop()
        for closer in reversed(self._closers):
            await closer()

    # ------------------------------------------------------------------------------------------------------ the parts
    def _run(self, work: Any, name: str) -> None:
        self._tasks.append(aio.spawn(work, name))

    async def _serve_envoy(self) -> None:
        socket = self.place.layout.agent_socket(self.place.node)
        socket.unlink(missing_ok=True)

        async def connect(peer: xds.Peer, first: object) -> Cache:
            await self.config.filled.wait()
            return self.config.cache

        server = xds.Server(connect)
        await server.start(f"unix:{socket}")
        socket.chmod(0o600)
        self._closers.append(lambda: server.stop(0))

    def _hold_certificates(self, roots: bytes) -> None:
        ca = CaClient(self.place.authority, self._token, roots)
        keyring = Keyring(self.place.folder / "keys")
        lifetime = self.place.certificate_lifetime
        certificates = Certificates(
            ca,
            self._certificates_changed,
            roots=roots.decode(),
            keyring=keyring,
            lifetime=lifetime,
            expired=self.config.enforcement.expired,
        )
        self._trusting = Trusting(certificates, ca)
        self._closers += [ca.close, certificates.close, self.config.enforcement.close, self.companions.close]
        self._uplink.roots, self.companions.certificates = roots, certificates
        self.config.begin(certificates)

    def _certificates_changed(self) -> None:
        self.config.refresh()
        self.companions.refresh()

    def _hear_control_plane(self) -> None:
        stream = self._uplink.workloads(self._trusting.beside(self.config.on_delta), self.config.applied)
        self._trusting.stream = stream
        self._run(stream.run(), "workload stream")
        self._run(_saved(self._snapshot), "snapshot")

    async def _serve_metrics(self) -> None:
        async def timings() -> Document:
            return {"answered": [list(each) for each in self.companions.answered]}

        node, admin = self.place.node, self.place.folder / "admin.sock"
        more = {
            loads.PATH: lambda: loads.measured(self.companions),
            usages.PATH: lambda: usages.measured(node, admin, self.companions),
            TIMINGS: timings,
        }
        metrics = MetricsServer(
            lambda: self._metrics.page(self.admin, self.supervisor),
            self._metrics.registry,
            lambda: agent_status.document(self),
            more=more,
        )
        await metrics.start(METRICS_PORT, *self.place.addresses)
        reports = ProxyReports(self.place.node, self.config.cache, self.admin, self.companions)
        commands = AgentCommands(self.place.layout.command_socket(self.place.node), self.supervisor.renew, reports)
        await commands.start()
        self._closers += [metrics.stop, commands.stop]

    def _follow_pods(self) -> None:
        def beside(old: Document | None, new: Document | None) -> None:
            if new is not None:
                self.companions.updated(new)
                if new["metadata"].get("deletionTimestamp"):
                    aio.spawn(self.companions.drain(new["metadata"]["uid"]), "drain")

        self._pods.follow(self.driver.update)
        self._pods.pods.on_change(beside)

    # --------------------------------------------------------------------------------------------------- what happens
    def _names_captured(self, pod: Document) -> bool:
        return captured(pod, self.place.dns_capture)

    def _capture_changed(self, target: Target, state: Capture) -> None:
        if state.phase == "gone":
            self.targets.pop(target.uid, None)
        else:
            self.targets[target.uid] = target

    def _proxy_lost(self) -> None:
        self._metrics.lost.inc()
        self.driver.proxy_lost()

    async def _may_hand_over(self) -> None:
        shared = self.place.proxy_namespace
        spaces = {target.netns for target in self.targets.values()} | ({shared} if shared else set())
        await asyncio.to_thread(migration.allow, spaces)

    async def _upgrade(self, why: str) -> None:
        """The adopted Envoy is not the one we would start. It works, so a failure is only told."""
        _log.info("another envoy takes over", reason=why)
        try:
            await self.supervisor.renew()
        except (StartFailed, OSError) as error:
            _log.error("the old envoy stays", error=error)


async def start(place: Place, api: Api) -> Agent:
    """Run inside the node's network namespace, on the process's main thread (Envoy is started from it)."""
    place.folder.mkdir(parents=True, exist_ok=True)
    agent = Agent(place, api)
    try:
        await agent.start()
    except BaseException:
        await agent.close()  # whoever tries again finds sockets and ports free
        raise
    return agent


def _envoy(place: Place) -> EnvoySettings:
    wanted = bootstrap.NodeBootstrap(
        node_id=place.proxy_id,
        xds_socket=str(place.layout.agent_socket(place.node)),
        admin=str(place.folder / "admin.sock"),
        concurrency=place.concurrency,
        nameserver=str(place.plan.dns_service),
    )
    text = bootstrap.text(wanted)
    # Its content is in its name: the command line of a running Envoy tells whether it read the same.
    file = place.folder / f"envoy-{blake2b(text.encode(), digest_size=6).hexdigest()}.json"
    file.write_text(text)
    where = place.proxy_namespace
    return EnvoySettings(
        place.folder,
        place.node,
        tuple(bootstrap.arguments(wanted, str(file), base_id=place.plan.index)),
        prefix=("/usr/bin/nsenter", f"--net={where}") if where else (),
        nice=NODE_PROXY_NICE,
    )


def sidecar_obstacle() -> str:
    """Why pods of this node cannot have a sidecar."""
    if not single_user():
        return ""
    return (
        "without root every process has the same user, so the proxy's packets cannot be told from its application's; "
        "start the mesh as root, or use ambient mode (label istio.io/dataplane-mode=ambient, no injection)"
    )


async def _roots(file: Path) -> bytes:
    """The mesh's root, written by the control plane at its first start."""
    try:
        async with asyncio.timeout(_ROOT_SECONDS):
            while True:
                if file.exists() and (content := file.read_bytes()):
                    return content
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise FileNotFoundError(f"{file} does not appear: is the control plane running? See its log") from None


async def _saved(snapshot: Snapshot) -> None:
    while True:
        await asyncio.sleep(2.0)
        if snapshot.dirty:
            snapshot.save()
