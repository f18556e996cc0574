"""A node whose L4 proxy is not ours: a stock ztunnel, started with the environment it expects, told of pods by ZDS.

Capture is the same as with Envoy (in-pod rules, probe, announcement); discovery and certificates the ztunnel fetches
itself from the control plane, whose doors speak its protocols. What is not here: metrics names, access logs, policy
enforcement on open connections and upgrades are the ztunnel's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
from prometheus_client import CollectorRegistry, Gauge

from plait.app.agent_status import pod_row, stamp
from plait.app.node_api import AgentToken, Announcements
from plait.app.node_pods import NodePods
from plait.app.place import Place
from plait.base import aio
from plait.base.observe import logger
from plait.base.wellknown import DEFAULT_ROOT_NAMESPACE, METRICS_PORT, NODE_AGENT_ACCOUNT
from plait.node import netfilter, zds
from plait.node.driver import Driver
from plait.node.forms import PORTS, Target
from plait.node.hook import CaptureHook
from plait.node.machine import Capture
from plait.proxy import processes
from plait.proxy.metrics import MetricsServer
from plait.store.api import Api

_log = logger("agent")
_STATS_PORT: Final = 15120  # the ztunnel's own metrics; 15020 stays the agent's
_SERVE_SECONDS, _ROOT_SECONDS, _REFRESH = 20.0, 30.0, 5.0
_TOKEN, _ROOT = "var/run/secrets/tokens/istio-token", "var/run/secrets/istio/root-cert.pem"  # relative to its directory


def environment(place: Place, folder: Path, socket: Path) -> dict[str, str]:
    """What a ztunnel reads, as Istio's own DaemonSet sets it."""
    server = f"https://{place.authority}"
    named = "istiod.istio-system.svc"
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "RUST_LOG": "info",
        "XDS_ADDRESS": server,
        "CA_ADDRESS": server,
        "ALT_XDS_HOSTNAME": named,
        "ALT_CA_HOSTNAME": named,
        "XDS_ROOT_CA": str(folder / _ROOT),
        "CA_ROOT_CA": str(folder / _ROOT),
        "CLUSTER_ID": place.settings.cluster_id,
        "ISTIO_META_CLUSTER_ID": place.settings.cluster_id,
        "CLUSTER_DOMAIN": place.settings.cluster_domain,
        "NETWORK": place.settings.network,
        "ISTIO_META_NETWORK": place.settings.network,
        "ISTIO_META_DNS_CAPTURE": "false",  # the node's resolver answers pods; the rules do not redirect DNS
        "NODE_NAME": place.node,
        "POD_NAME": f"ztunnel-{place.node}",
        "POD_NAMESPACE": DEFAULT_ROOT_NAMESPACE,
        "SERVICE_ACCOUNT": NODE_AGENT_ACCOUNT,
        "INSTANCE_IP": place.address,
        "PROXY_MODE": "shared",
        "INPOD_ENABLED": "true",
        "INPOD_UDS": str(socket),
        "SECRET_TTL": f"{place.certificate_lifetime:.0f}s",
        "PROXY_CONFIG": json.dumps({"statusPort": _STATS_PORT}),
    }


class _Listeners:
    """The driver's Listeners: the ztunnel acknowledged the pod, and the kernel sees it listen."""

    def __init__(self, server: zds.Server) -> None:
        self._server = server

    async def serve(self, target: Target) -> None:
        pod = zds.Pod(target.uid, target.name, target.namespace, target.service_account, target.netns)
        step = "the ztunnel's word"
        try:
            async with asyncio.timeout(_SERVE_SECONDS):
                await self._server.serve(pod)
                step = "its listeners"
                while not await asyncio.to_thread(netfilter.listening, target.netns) >= PORTS:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise TimeoutError(f"waited {_SERVE_SECONDS:g} s for {step}") from None

    async def withdraw(self, target: Target) -> None:
        await self._server.withdraw(target.uid)


class ForeignAgent:
    """`hook` is the kubelet's, as with our own agent."""

    def __init__(self, place: Place, api: Api, binary: Path) -> None:
        self.place, self._binary = place, binary
        self._folder = place.folder / "ztunnel"
        self._socket = place.folder / "zds.sock"
        self.zds = zds.Server(self._socket, self._lost)
        self._pods = NodePods(api, place.node)
        self._targets: dict[str, Target] = {}
        self.driver = Driver(
            _Listeners(self.zds), Announcements(api, place.node), self._pods.enrolled, changed=self._capture_changed
        )
        self.hook = CaptureHook(self.driver)
        self._token = AgentToken(api, place.node)
        self._process: processes.Process | None = None
        self._restarts = 0
        self._began = aio.now()
        self._registry = CollectorRegistry()
        captured = Gauge("plait_agent_captured_pods", "Pods captured and verified here", registry=self._registry)
        captured.set_function(lambda: sum(state.captured for state in self.driver.states().values()))
        self._tasks: list[asyncio.Task[Any]] = []
        self._closers: list[Callable[[], Awaitable[Any]]] = []

    async def start(self) -> None:
        async with asyncio.timeout(_ROOT_SECONDS):
            while not await self._secrets():
                await asyncio.sleep(0.1)
        await self.zds.start()
        self._closers.append(self.zds.close)
        for work, name in (
            (self._pods.pods.run(), "pods of the node"),
            (self._pods.namespaces.run(), "namespaces"),
            (self._keep_secrets(), "ztunnel's token and root"),
            (self._run(), "ztunnel"),
        ):
            self._tasks.append(aio.spawn(work, name))
        metrics = MetricsServer(self._figures, self._registry, self._status)
        await metrics.start(METRICS_PORT, self.place.address)
        self._closers.append(metrics.stop)
        await self._pods.synced()
        self._pods.follow(self.driver.update)
        self._tasks.append(aio.spawn(self.driver.run(), "capture reconciler"))

    async def close(self) -> None:
        await aio.cancel(*self._tasks)
        await self.driver.close()
        if self._process is not None:
            self._process.send(signal.SIGTERM)
            try:
                async with asyncio.timeout(5):
                    await self._process.wait()
            except TimeoutError:
                self._process.send(signal.SIGKILL)
        for closer in reversed(self._closers):
            await closer()

    # ------------------------------------------------------------------------------------------------------ the ztunnel
    async def _run(self) -> None:
        """Adopt or start it, again after each end."""
        delays = aio.backoff(0.1, 15.0)
        while True:
            began = asyncio.get_running_loop().time()
            pid_file = self.place.folder / "ztunnel.pid"
            self._process = processes.recorded(pid_file)
            if self._process is None:
                # A ztunnel looks for its token below its working directory.
                command = ["/usr/bin/env", f"--chdir={self._folder}", str(self._binary), "proxy", "ztunnel"]
                environ = environment(self.place, self._folder, self._socket)
                log = self.place.folder / "ztunnel.log"
                self._process = processes.launch(
                    command, log=log, pid_file=pid_file, survive=True, env=environ, nice=processes.NODE_PROXY_NICE
                )
            await self._process.wait()
            _log.error("ztunnel ended", node=self.place.node, log=self.place.folder / "ztunnel.log")
            self._restarts += 1
            if asyncio.get_running_loop().time() - began > 30:
                delays = aio.backoff(0.1, 15.0)
            await asyncio.sleep(next(delays))

    async def _secrets(self) -> bool:
        """The token and the roots where a ztunnel reads them; False while they are not to be had."""
        root = self.place.layout.mesh_ca / "root-cert.pem"
        try:
            _write(self._folder / _ROOT, root.read_bytes())
            _write(self._folder / _TOKEN, (await self._token()).encode())
        except OSError as error:  # ConnectionError too: no API server now
            _log.info("ztunnel's token or root is not there", reason=error)
            return False
        return True

    async def _keep_secrets(self) -> None:
        while True:
            await asyncio.sleep(_REFRESH)
            await self._secrets()

    def _lost(self) -> None:
        self.driver.proxy_lost()

    # ------------------------------------------------------------------------------------------------------------- pods
    def _capture_changed(self, target: Target, state: Capture) -> None:
        if state.phase == "gone":
            self._targets.pop(target.uid, None)
        else:
            self._targets[target.uid] = target

    # ----------------------------------------------------------------------------------------------------------- status
    async def _figures(self) -> str:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(2)) as session,
            session.get(f"http://{self.place.address}:{_STATS_PORT}/metrics") as answer,
        ):
            return await answer.text()

    async def _status(self) -> dict[str, Any]:
        """As our own agent's page, of what can be known: a ztunnel that serves pods has heard the control plane."""
        ready, states = self.zds.connected, self.driver.states()
        return {
            "node": self.place.node,
            "address": self.place.address,
            "controlPlane": {
                "address": self.place.authority,
                "connected": ready,
                "since": stamp(self._began),
                "reason": "" if ready else "the ztunnel has not called on the agent's socket (ZDS)",
            },
            "envoy": {
                "pid": self._process.pid if self._process is not None else None,
                "ready": ready,
                "restarts": self._restarts,
                "version": f"ztunnel ({self._binary.name})",
            },
            "configuration": {"types": {}, "refused": [], "unreadable": 0},
            "pods": [
                pod_row(target, state, state.problem or self.zds.problems.get(uid, ""))
                for uid, target in sorted(self._targets.items(), key=lambda item: str(item[1]))
                for state in [states.get(uid, Capture())]
            ],
        }


async def start(place: Place, api: Api, binary: Path) -> ForeignAgent:
    """As `agent.start`, with a ztunnel in Envoy's place."""
    place.folder.mkdir(parents=True, exist_ok=True)
    agent = ForeignAgent(place, api, binary)
    try:
        await agent.start()
    except BaseException:
        await agent.close()
        raise
    return agent


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all, and only when it is new."""
    if file.exists() and file.read_bytes() == content:
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(file.name + ".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
    draft.replace(file)
