"""What the node agent does at the API server: its own token, the announcement of a capture, events people read."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from plait.base import aio
from plait.base.wellknown import (
    CA_AUDIENCE,
    DEFAULT_ROOT_NAMESPACE,
    NODE_AGENT_ACCOUNT,
    REDIRECTION,
)
from plait.model.modes import wanted_mode
from plait.node.forms import Target
from plait.resources import kinds
from plait.store.api import Api, ApiError, Document

_TOKEN_SECONDS = 3600
CONFIGURED = "plait.dev/ProxyConfigured"
"""Condition of a pod: False with the reason while the proxy refuses part of its configuration."""


class AgentToken:
    """A token of the node agent's account, bound to this Node and to the authority's audience; renewed at half life."""

    def __init__(self, api: Api, node: str) -> None:
        self._api, self._node = api, node
        self._token, self._until = "", 0.0
        self._lock = asyncio.Lock()

    async def __call__(self) -> str:
        """ConnectionError when the API server gives none now: whoever asks tries again."""
        async with self._lock:
            if aio.now() < self._until:
                return self._token
            try:
                node = await self._api.get(kinds.NODE, self._node)
                reference = {"apiVersion": "v1", "kind": "Node", "name": self._node, "uid": node["metadata"]["uid"]}
                spec = {"audiences": [CA_AUDIENCE], "expirationSeconds": _TOKEN_SECONDS, "boundObjectRef": reference}
                request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
                answer = await self._api.create_subresource(
                    kinds.SERVICE_ACCOUNT, NODE_AGENT_ACCOUNT, "token", request, DEFAULT_ROOT_NAMESPACE
                )
            except ApiError as error:
                account = f"{DEFAULT_ROOT_NAMESPACE}/{NODE_AGENT_ACCOUNT}"
                raise ConnectionError(f"no token for service account {account}: {error}") from error
            self._token = answer["status"]["token"]
            self._until = aio.now() + _TOKEN_SECONDS / 2
            return self._token


class Announcements:
    """The capture driver's Announcer."""

    def __init__(self, api: Api, node: str) -> None:
        self._api, self._node = api, node

    async def announce(self, target: Target, captured: bool) -> None:
        # The uid makes the server refuse when the pod of this name is another one by now.
        meta: dict[str, Any] = {"uid": target.uid, "annotations": {REDIRECTION: "enabled" if captured else None}}
        try:
            await self._api.patch(kinds.POD, target.name, {"metadata": meta}, target.namespace)
        except ApiError as error:
            if captured or error.reason not in ("NotFound", "Conflict"):
                raise

    async def condition(self, target: Target, accepted: bool, message: str) -> None:
        """Is everything the proxy was told of this pod in force?"""
        condition = {
            "type": CONFIGURED,
            "status": "True" if accepted else "False",
            "reason": "Accepted" if accepted else "Refused",
            "message": message,
            "lastTransitionTime": datetime.fromtimestamp(aio.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        patch = {"metadata": {"uid": target.uid}, "status": {"conditions": [condition]}}
        await self._api.patch(kinds.POD, target.name, patch, target.namespace, type="strategic", subresource="status")

    async def event(self, target: Target, reason: str, message: str, *, warning: bool) -> None:
        now = datetime.fromtimestamp(aio.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        await self._api.create(
            kinds.EVENT,
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"generateName": f"{target.name}.", "namespace": target.namespace},
                "involvedObject": {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "name": target.name,
                    "namespace": target.namespace,
                    "uid": target.uid,
                },
                "reason": reason,
                "message": message,
                "type": "Warning" if warning else "Normal",
                "source": {"component": "plait-agent", "host": self._node},
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
            },
            target.namespace,
        )


def wanted(pod: Document, namespace: Document | None) -> bool:
    """Should the node proxy capture this pod?"""
    meta, above = pod["metadata"], namespace["metadata"] if namespace else {}
    mode = wanted_mode(
        meta.get("labels") or {},
        meta.get("annotations") or {},
        above.get("labels") or {},
        bool(pod.get("spec", {}).get("hostNetwork")),
    )
    return mode == "ambient"
