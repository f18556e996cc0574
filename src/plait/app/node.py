"""One node's process, joined: API client, mesh agent, kubelet and its server, service proxy, DNS.

It runs inside the node's network namespace. Cancelled (SIGTERM) it ends its pods; killed, it leaves them to its successor.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from plait.base import aio
from plait.base.observe import logger
from plait.local import images
from plait.local.addresses import AddressPlan
from plait.local.kubelet import Kubelet
from plait.local.kubelet_server import KubeletServer
from plait.local.layout import Layout
from plait.local.recorder import EventRecorder
from plait.store.api import Api
from plait.store.client import HttpApi
from plait.store.kubeconfig import Access

_log = logger("node")
APPS = Path(__file__).parents[3] / "samples" / "apps"


async def serve(layout: Layout, plan: AddressPlan, node_name: str, node_index: int, *, api: Api | None = None) -> None:
    """Be the node until cancelled."""
    async with AsyncExitStack() as stack:
        client: Api = api if api is not None else await stack.enter_async_context(connect(layout, node_name))
        hook = await _mesh_agent(stack, layout, plan, node_name, client)
        recorder = EventRecorder(client, node_name)
        kubelet = Kubelet(
            client,
            layout,
            plan,
            node_name,
            node_index,
            hook=hook,
            recorder=recorder.tell,
            images=images.load(layout.root, APPS if APPS.is_dir() else None),
        )
        stack.push_async_callback(kubelet.stop, keep_pods=False)
        server = KubeletServer(kubelet, layout.kubelet_socket(node_name))
        await server.start()
        stack.push_async_callback(server.stop)
        tasks = [aio.spawn(kubelet.run(), "kubelet"), aio.spawn(recorder.run(), "events")]
        tasks += _optional(client, layout, plan, node_name, node_index)
        stack.push_async_callback(aio.cancel, *tasks)
        await asyncio.gather(*tasks)


def connect(layout: Layout, node_name: str) -> HttpApi:
    """The API server through its unix socket, with the node's own certificate."""
    pki = layout.pki
    access = Access(
        "https://localhost",
        (pki / "ca.crt").read_bytes(),
        (pki / f"node-{node_name}.crt").read_bytes(),
        (pki / f"node-{node_name}.key").read_bytes(),
        socket=str(layout.api_socket),
    )
    return HttpApi(access)


async def _mesh_agent(stack: AsyncExitStack, layout: Layout, plan: AddressPlan, node_name: str, api: Api) -> Any:
    """The mesh's capture hook, from `plait.app.agent.start(layout, plan, node_name, api)`; None without an agent."""
    if importlib.util.find_spec("plait.app.agent") is None:
        _log.warning("no mesh agent on this node", node=node_name)
        return None
    agent = importlib.import_module("plait.app.agent")
    started = await agent.start(layout, plan, node_name, api)
    if hasattr(started, "stop"):
        stack.push_async_callback(started.stop)
    return started


def _optional(api: Api, layout: Layout, plan: AddressPlan, node_name: str, node_index: int) -> list[asyncio.Task[None]]:
    """Service proxy and DNS: `run(api, layout, plan, node_name, node_index)` of their modules."""
    tasks = []
    for module in ("plait.local.services", "plait.local.dns"):
        if importlib.util.find_spec(module) is None:
            _log.warning("missing part of the node", module=module)
            continue
        run: Callable[..., Any] = importlib.import_module(module).run
        tasks.append(aio.spawn(run(api, layout, plan, node_name, node_index), module))
    return tasks
