"""Joins the stream routes (log, exec, attach, port-forward) to the state: which pod, and which node's kubelet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from plait.store.api import Document
from plait.store.state import State
from plait.store.streams import pod_streams as streams


def stream_routes(socket_of_node: Callable[[str], Path], state: State) -> list[web.RouteDef]:
    """The routes; `socket_of_node` gives a node's kubelet socket by its name."""

    def get_pod(namespace: str, name: str) -> Document | None:
        record = state.get(("", "pods"), (namespace, name))
        return record.document if record else None

    def socket_of_pod(pod: Document) -> Path:
        return socket_of_node(pod["spec"].get("nodeName", ""))

    found: list[web.RouteDef] = streams.routes(socket_of_pod, get_pod)
    return found
