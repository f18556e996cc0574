"""A pretended kubelet for controller tests: every pod bound to a node becomes Running and Ready, deleted ones go."""

from __future__ import annotations

from plait.base import aio
from plait.resources.kinds import NODE, POD
from plait.store.api import Api, ApiError, Document
from plait.store.informer import Informer

READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}


def node(name: str, **spec: object) -> Document:
    return {"metadata": {"name": name, "labels": {}}, "spec": spec, "status": {"conditions": [READY]}}


class Kubelets:
    """`broken`: images whose pods never become ready. `finish`: image -> the phase in which its pods end."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.broken: set[str] = set()
        self.finish: dict[str, str] = {}
        self._count = 0

    async def add_node(self, name: str) -> None:
        await self.api.create(NODE, node(name))

    async def run(self) -> None:
        pods = Informer(self.api, POD)
        pods.on_change(lambda _, new: self._act(new) if new is not None else None)
        await pods.run()

    def _act(self, pod: Document) -> None:
        metadata, name = pod["metadata"], f"kubelet {pod['metadata']['name']}"
        if not pod["spec"].get("nodeName"):
            return
        if "deletionTimestamp" in metadata:
            aio.spawn(self._gone(metadata["name"], metadata["namespace"]), name)
        elif pod["status"].get("phase", "Pending") == "Pending":
            image = pod["spec"]["containers"][0].get("image", "")
            self._count += 1
            phase = self.finish.get(image, "Running")
            ready = phase == "Running" and image not in self.broken
            status = {
                "phase": phase,
                "podIP": f"10.64.1.{self._count % 250 + 2}",
                "conditions": [{**READY, "status": str(ready)}],
            }
            aio.spawn(self._started(metadata["name"], metadata["namespace"], status), name)

    async def _gone(self, name: str, namespace: str) -> None:
        try:
            await self.api.delete(POD, name, namespace, grace=0)
        except ApiError:
            pass

    async def _started(self, name: str, namespace: str, status: Document) -> None:
        try:
            await self.api.patch(POD, name, {"status": status}, namespace, subresource="status")
        except ApiError:
            pass
