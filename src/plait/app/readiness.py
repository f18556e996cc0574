"""When is a mesh ready? The API server answers, the control plane answers, every node is Ready: asked, not assumed."""

from __future__ import annotations

import asyncio
import time

from plait.local.layout import Layout
from plait.local.record import Record
from plait.resources.kinds import NODE
from plait.store.api import ApiError
from plait.store.client import HttpApi

_PATIENCE = 60.0


class NotReady(Exception):
    """The mesh did not come up in time; the message says which part is missing."""


async def wait(layout: Layout, record: Record) -> None:
    """Poll until everything is there; NotReady after a minute."""
    deadline = time.monotonic() + _PATIENCE
    state = "the API server does not answer"
    while time.monotonic() < deadline:
        if layout.kubeconfig.exists() and layout.api_socket.exists():
            try:
                async with HttpApi.from_kubeconfig(layout.kubeconfig, socket=layout.api_socket) as api:
                    while time.monotonic() < deadline:
                        state = await _missing(api, record)
                        if not state:
                            return
                        await asyncio.sleep(0.02)
            except (ApiError, OSError, ValueError) as error:
                state = f"the API server: {error}"
        await asyncio.sleep(0.02)
    raise NotReady(state)


async def _missing(api: HttpApi, record: Record) -> str:
    nodes, _ = await api.list(NODE)
    fit = {
        node["metadata"]["name"]
        for node in nodes
        for condition in node.get("status", {}).get("conditions", ())
        if condition.get("type") == "Ready" and condition.get("status") == "True"
    }
    late = [name for name in record.nodes if name not in fit]
    return f"nodes not ready: {', '.join(late)}" if late else ""
