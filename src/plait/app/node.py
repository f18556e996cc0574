"""One node's process, joined: API client, mesh agent, kubelet and its server, service proxy, DNS.

It runs inside the node's network namespace. Cancelled (SIGTERM) it ends its pods; killed, it leaves them running and
its successor adopts them.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path

from plait.app import agent as mesh_agent
from plait.app import foreign
from plait.app.place import Place
from plait.base import aio, collecting
from plait.base.observe import logger
from plait.local import dns, images, links, serviceproxy
from plait.local.addresses import AddressPlan
from plait.local.kubelet import Kubelet
from plait.local.kubelet_server import KubeletServer
from plait.local.layout import Layout
from plait.local.record import FORMS, Record, load
from plait.local.recorder import EventRecorder
from plait.model.mesh import Settings
from plait.resources import kinds
from plait.store.api import Api, ApiError, Document
from plait.store.client import HttpApi

_log = logger("node")
CAPTURE = "plait.dev/capture"
_HOLD = 30.0  # seconds a pod's start waits for the agent before it is tried again
APPS = Path(__file__).parents[3] / "samples" / "apps"


class AgentNotReady(Exception):
    """The mesh agent of this node has not started yet; the pod is tried again."""


class MeshAgent:
    """The node agent, started in the background: pods wait for it, the rest of the node does not. A PodNetworkHook."""

    def __init__(self, layout: Layout, plan: AddressPlan, name: str, index: int, api: Api) -> None:
        self._layout, self._plan, self._name, self._api = layout, plan, name, api
        self._address, self._index = str(plan.node(index)), index
        self._agent: mesh_agent.Agent | foreign.ForeignAgent | None = None
        self._started = asyncio.Event()

    async def run(self) -> None:
        """Start it, again and again until it works; it then runs on its own until `close`."""
        for delay in aio.backoff(0.5, 10.0):
            try:
                record = load(self._layout)
                place = await self._place(record)
                if record is not None and record.ztunnel:
                    self._agent = await foreign.start(place, self._api, Path(record.ztunnel))
                else:
                    self._agent = await mesh_agent.start(place, self._api)
                self._started.set()
                return
            except Exception as error:  # no control plane yet, a proxy that does not start: the node stays useful
                _log.error("mesh agent not started", node=self._name, error=repr(error))
                await asyncio.sleep(delay)

    async def _place(self, record: Record | None) -> Place:
        place = Place(
            self._layout,
            self._plan,
            self._name,
            self._address,
            Settings(ranges=self._plan.ranges),
            # The first address of the pods' range is never given to a pod.
            proxy_address=str(self._plan.pods(self._index)[1]),
            capture=await self._capture(record.capture if record is not None else FORMS[0]),
        )
        if record is None:
            return place
        return replace(
            place,
            certificate_lifetime=record.certificate_lifetime,
            dns_capture=record.dns_capture,
            eager=record.eager,
        )

    async def _capture(self, usual: str) -> str:
        """The form of capture: what the Node says, else what the mesh was started with. Read once."""
        with suppress(ApiError):
            node = await self._api.get(kinds.NODE, self._name)
            if said := (node["metadata"].get("annotations") or {}).get(CAPTURE):
                if said in FORMS:
                    return str(said)
                _log.error("not a form of capture", node=self._name, annotation=CAPTURE, value=said, known=FORMS)
        return usual

    async def close(self) -> None:
        if self._agent is not None:
            await self._agent.close()

    async def attached(self, pod: Document, netns: Path, addresses: tuple[str, ...]) -> None:
        try:
            async with asyncio.timeout(_HOLD):
                await self._started.wait()
        except TimeoutError:
            raise AgentNotReady(f"the mesh agent of node {self._name} has not started: see its log") from None
        assert self._agent is not None
        await self._agent.hook.attached(pod, netns, addresses)

    async def detaching(self, pod: Document, netns: Path) -> None:
        if self._agent is not None:
            await self._agent.hook.detaching(pod, netns)


async def serve(
    layout: Layout,
    plan: AddressPlan,
    node_name: str,
    node_index: int,
    *,
    api: Api | None = None,
    mesh: bool = True,
) -> None:
    """Be the node until cancelled. Without `mesh` there is no agent and no proxy."""
    async with AsyncExitStack() as stack:
        client = api if api is not None else await stack.enter_async_context(await connect(layout, node_name))
        tasks: list[asyncio.Task[None]] = []
        hook = None
        if mesh:
            hook = MeshAgent(layout, plan, node_name, node_index, client)
            stack.push_async_callback(hook.close)
            tasks.append(aio.spawn(hook.run(), "mesh agent"))
        recorder = EventRecorder(client, node_name)
        apps = APPS if APPS.is_dir() else None
        kubelet = Kubelet(
            client,
            layout,
            plan,
            node_name,
            node_index,
            hook=hook,
            recorder=recorder.tell,
            images=images.load(layout.root, apps),
        )
        stack.push_async_callback(kubelet.stop, keep_pods=False)
        server = KubeletServer(kubelet, layout.kubelet_socket(node_name))
        await server.start()
        stack.push_async_callback(server.stop)
        # The resolver's service address is local on every node: a pod asks its own node.
        nameservers = plan.wires.addresses(plan.dns_service)
        for each in nameservers:
            await asyncio.to_thread(links.address, "lo", each, each.max_prefixlen)
        tasks += [
            aio.spawn(recorder.run(), "events"),
            aio.spawn(collecting.run(), "garbage collection"),
            *(
                aio.spawn(serviceproxy.run(client, node=node_index, plan=plan, family=one), f"service proxy {one}")
                for one in plan.families
            ),
            aio.spawn(dns.run(client, plan, *map(str, nameservers), forward=dns.upstreams()), "dns"),
            aio.spawn(kubelet.run(), "kubelet"),
        ]
        stack.push_async_callback(aio.cancel, *tasks)
        await asyncio.gather(*tasks)


async def connect(layout: Layout, node_name: str) -> HttpApi:
    """The API server through its unix socket, with the node's own certificate; waits for both to be there."""
    credentials = layout.node(node_name) / "kubeconfig"
    while not (credentials.exists() and layout.api_socket.exists()):
        await asyncio.sleep(0.02)
    return HttpApi.from_kubeconfig(credentials, socket=layout.api_socket)
