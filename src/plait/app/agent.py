"""The node agent, joined: workload stream -> project -> translate -> Envoy, certificates, capture, metrics.

`start` returns when Envoy is ready and pods can be captured; it does not wait for the control plane, whose last word is
on disk. The kubelet gets `agent.hook`. On `close` Envoy ends with us; after a crash the next agent adopts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge

from plait.app.enforcement import Enforcement
from plait.app.node_api import AgentToken, Announcements, wanted
from plait.app.snapshot import Snapshot
from plait.base import aio
from plait.base.bundle import Bundle, Resource
from plait.base.observe import logger
from plait.base.wellknown import (
    DEFAULT_TRUST_DOMAIN,
    HBONE_PORT,
    INBOUND_PLAINTEXT_PORT,
    METRICS_PORT,
    OUTBOUND_PORT,
    XDS_TLS_PORT,
)
from plait.envoy import bootstrap, names
from plait.envoy.options import Options
from plait.envoy.roles import node as role
from plait.envoy.wire import resource
from plait.local.addresses import AddressPlan
from plait.local.layout import Layout
from plait.model.mesh import Settings
from plait.model.views.node import NodeState, NodeView, PodState, project
from plait.node import netfilter
from plait.node.driver import Driver, Target
from plait.node.hook import CaptureHook
from plait.node.machine import Capture
from plait.proxy.admin import Admin
from plait.proxy.ca_client import CaClient
from plait.proxy.certs import Certificates
from plait.proxy.metrics import MetricsServer
from plait.proxy.supervise import Settings as EnvoySettings
from plait.proxy.supervise import Supervisor
from plait.resources import kinds
from plait.store.api import Api, Document
from plait.store.informer import Informer
from plait.wds import messages as wds
from plait.wds.decode import Store
from plait.xds import server as xds
from plait.xds.cache import Cache
from plait.xds.client import Client
from plait.xds.messages import Node

_log = logger("agent")
_PORTS = frozenset({OUTBOUND_PORT, INBOUND_PLAINTEXT_PORT, HBONE_PORT})
_ROOT_SECONDS, _READY_SECONDS, _SERVE_SECONDS, _SETTLE = 30.0, 60.0, 20.0, 0.005


class Configuration:
    """From the workload stream and the pods served here to what Envoy hears. Also the driver's Listeners."""

    def __init__(self, node: str, settings: Settings, snapshot: Snapshot, options: Options) -> None:
        self._node, self._options, self._snapshot = node, options, snapshot
        self._store = Store(settings)
        self._view: NodeView = project(self._store.mesh, NodeState(node))
        self._pods: dict[str, PodState] = {}
        self._due: asyncio.TimerHandle | None = None
        self.certificates: Certificates | None = None
        self.cache = Cache()
        self.problems = 0
        self.enforcement = Enforcement()
        for url, known in snapshot.types.items():
            self._store.apply(url, known.values(), ())

    def on_delta(self, url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]) -> None:
        """The control plane said something."""
        gone = self._snapshot.apply(url, resources, removed)
        for problem in self._store.apply(url, resources, gone):
            self.problems += 1
            _log.warning("part of the workload stream cannot be read", problem=problem)
        self.refresh()

    def refresh(self) -> None:
        """Translate soon: what comes in the same few milliseconds is one change."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(_SETTLE, self._refresh)

    def _refresh(self) -> None:
        self._due = None
        before = self._view
        self._view = project(self._store.mesh, NodeState(self._node, tuple(self._pods.values())), before)
        bundle = role.translate(self._view, self._options)
        types = {
            url: self._shared(url, named) for url, named in {**bundle.types, names.SECRET: self._secrets()}.items()
        }
        self.cache.set(Bundle(types), lookup=self._lookup)
        self.enforcement.changed(before, self._view)

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
            return role.destination_resource(self._view, name)
        return None

    async def serve(self, target: Target) -> None:
        """Listeners of the pod: pushed, and seen listening by the kernel; its certificate: held."""
        state = PodState(
            target.uid, target.namespace, target.name, target.service_account, (target.address,), str(target.netns)
        )
        self._pods[target.uid] = state
        certificates = self._want()
        self.refresh()
        step = "its certificate"
        try:
            async with asyncio.timeout(_SERVE_SECONDS):
                await certificates.present(self._identity(state))
                step = "the proxy's listeners"
                while not await asyncio.to_thread(netfilter.listening, target.netns) >= _PORTS:
                    await asyncio.sleep(0.005)
        except TimeoutError:
            why = certificates.problems.get(self._identity(state), "")
            raise TimeoutError(f"waited {_SERVE_SECONDS:g} s for {step}{': ' if why else ''}{why}") from None

    async def withdraw(self, target: Target) -> None:
        if self._pods.pop(target.uid, None) is not None:
            self._want()
            self.refresh()

    def _want(self) -> Certificates:
        assert self.certificates is not None, "certificates are set before the driver starts"
        self.certificates.want({self._identity(pod) for pod in self._pods.values()})
        return self.certificates

    def _identity(self, pod: PodState) -> str:
        domain = self._store.mesh.settings.trust_domain
        return f"spiffe://{domain}/ns/{pod.namespace}/sa/{pod.service_account}"


class Agent:
    """A running node agent. `hook` is the kubelet's; `states()` says where each pod stands."""

    def __init__(self, driver: Driver, supervisor: Supervisor) -> None:
        self.driver, self.supervisor = driver, supervisor
        self.hook = CaptureHook(driver)
        self.connected = False
        self._tasks: list[asyncio.Task[Any]] = []
        self._closers: list[Any] = []

    def states(self) -> dict[str, Capture]:
        return self.driver.states()

    async def close(self, *, stop_proxy: bool = True) -> None:
        await aio.cancel(*self._tasks)
        await self.driver.close()
        if stop_proxy:
            await self.supervisor.stop()
        for closer in reversed(self._closers):
            await closer()


async def start(
    layout: Layout,
    plan: AddressPlan,
    node_name: str,
    api: Api,
    *,
    node_address: str,
    settings: Settings | None = None,
    trust_domain: str = DEFAULT_TRUST_DOMAIN,
    concurrency: int = 1,
) -> Agent:
    """Run inside the node's network namespace, on the process's main thread (Envoy is started from it)."""
    folder = layout.node(node_name)
    folder.mkdir(parents=True, exist_ok=True)
    settings = settings or Settings(trust_domain=trust_domain, ranges=(str(plan.network),))
    snapshot = Snapshot(folder / "workloads.bin")
    snapshot.load()
    config = Configuration(node_name, settings, snapshot, Options(access_log=str(folder / "access.log")))
    registry = CollectorRegistry()
    cut = Gauge("plait_agent_connections_cut", "Open connections cut because a policy changed", registry=registry)
    cut.set_function(lambda: config.enforcement.cut)

    pods = Informer(api, kinds.POD, fields=f"spec.nodeName={node_name}")
    namespaces = Informer(api, kinds.NAMESPACE)

    def enrolled(pod: Document) -> bool:
        return wanted(pod, namespaces.get(pod["metadata"]["namespace"]))

    captured = Gauge("plait_agent_captured_pods", "Pods captured and verified on this node", registry=registry)
    driver = Driver(
        config,
        Announcements(api, node_name),
        enrolled,
        changed=lambda target, state: captured.set(sum(s.captured for s in driver.states().values())),
    )
    lost = Counter("plait_agent_envoy_ended", "How often Envoy ended unasked", registry=registry)

    def proxy_lost() -> None:
        lost.inc()
        driver.proxy_lost()

    admin = Admin(folder / "admin.sock")
    supervisor = Supervisor(_envoy(layout, plan, node_name, node_address, concurrency), admin, proxy_lost)
    agent = Agent(driver, supervisor)
    agent._closers.append(admin.close)
    try:
        await _joined(
            agent,
            layout,
            plan,
            node_name,
            api,
            config,
            snapshot,
            admin,
            pods,
            namespaces,
            registry,
            node_address,
            settings,
        )
    except BaseException:
        await agent.close()  # whoever tries again finds sockets and ports free
        raise
    return agent


async def _joined(
    agent: Agent,
    layout: Layout,
    plan: AddressPlan,
    node_name: str,
    api: Api,
    config: Configuration,
    snapshot: Snapshot,
    admin: Admin,
    pods: Informer,
    namespaces: Informer,
    registry: CollectorRegistry,
    node_address: str,
    settings: Settings,
) -> None:
    """Start the parts in order of need; each leaves its way to end in the agent."""
    driver, supervisor = agent.driver, agent.supervisor
    server = await _serve_envoy(layout, node_name, config)
    agent._closers.append(lambda: server.stop(0))
    agent._tasks += [aio.spawn(pods.run(), "pods of the node"), aio.spawn(namespaces.run(), "namespaces")]
    agent._tasks.append(aio.spawn(supervisor.run(), f"envoy {node_name}"))

    roots = await _roots(layout.mesh_ca / "root-cert.pem")
    token = AgentToken(api, node_name)
    authority = f"{plan.control}:{XDS_TLS_PORT}"
    ca = CaClient(authority, token, roots)
    config.certificates = Certificates(ca, config.refresh, roots=roots.decode())
    agent._closers += [ca.close, config.certificates.close, config.enforcement.close]
    config.refresh()

    def state(connected: bool, why: str) -> None:
        agent.connected = connected
        _log.info("control plane", connected=connected, reason=why)

    async def metadata() -> Sequence[tuple[str, str]]:
        return (("authorization", f"Bearer {await token()}"), ("clusterid", settings.cluster_id))

    me = Node(
        f"ztunnel~{node_address}~ztunnel-{node_name}.istio-system~istio-system.svc.cluster.local",
        "ztunnel",
        {"NAME": f"ztunnel-{node_name}", "NAMESPACE": "istio-system", "NODE_NAME": node_name},
    )
    stream = Client(
        authority,
        me,
        (wds.ADDRESS_TYPE, wds.AUTHORIZATION_TYPE),
        config.on_delta,
        credentials=grpc.ssl_channel_credentials(roots),
        metadata=metadata,
        on_state=state,
    )
    agent._tasks += [aio.spawn(stream.run(), "workload stream"), aio.spawn(_saved(snapshot), "snapshot")]

    metrics = MetricsServer(admin.prometheus, registry)
    await metrics.start(node_address, METRICS_PORT)
    agent._closers.append(metrics.stop)

    await pods.synced.wait()
    await namespaces.synced.wait()
    _follow(driver, pods, namespaces)
    agent._tasks.append(aio.spawn(driver.run(), "capture reconciler"))
    async with asyncio.timeout(_READY_SECONDS):
        await supervisor.ready.wait()


def _follow(driver: Driver, pods: Informer, namespaces: Informer) -> None:
    def pod_changed(old: Document | None, new: Document | None) -> None:
        if new is not None:
            driver.update([new])

    def namespace_changed(old: Document | None, new: Document | None) -> None:
        if new is not None:
            name = new["metadata"]["name"]
            driver.update([pod for (where, _), pod in pods.cache.items() if where == name])

    pods.on_change(pod_changed)
    namespaces.on_change(namespace_changed)


def _envoy(layout: Layout, plan: AddressPlan, node: str, address: str, concurrency: int) -> EnvoySettings:
    folder = layout.node(node)
    wanted = bootstrap.NodeBootstrap(
        node_id=f"ztunnel~{address}~ztunnel-{node}.istio-system~istio-system.svc.cluster.local",
        xds_socket=str(layout.agent_socket(node)),
        admin=str(folder / "admin.sock"),
        concurrency=concurrency,
    )
    file = folder / "envoy.json"
    file.write_text(bootstrap.text(wanted))
    return EnvoySettings(folder, node, tuple(bootstrap.arguments(wanted, str(file), base_id=plan.index)))


async def _serve_envoy(layout: Layout, node: str, config: Configuration) -> xds.Server:
    socket = layout.agent_socket(node)
    socket.unlink(missing_ok=True)

    async def connect(peer: xds.Peer, first: object) -> Cache:
        return config.cache

    server = xds.Server(connect)
    await server.start(f"unix:{socket}")
    socket.chmod(0o600)
    return server


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
