"""The pods of one node and the namespaces they are in: who is to be captured, and what changes about that."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from plait.app.node_api import wanted
from plait.resources import kinds
from plait.store.api import Api, Document
from plait.store.informer import Informer


class NodePods:
    """Run `pods` and `namespaces` beside it."""

    def __init__(self, api: Api, node: str) -> None:
        self.pods = Informer(api, kinds.POD, fields=f"spec.nodeName={node}")
        self.namespaces = Informer(api, kinds.NAMESPACE)

    async def synced(self) -> None:
        await self.pods.synced.wait()
        await self.namespaces.synced.wait()

    def enrolled(self, pod: Document) -> bool:
        """Is it to be captured, as its labels and those of its namespace say?"""
        return wanted(pod, self.namespaces.get(pod["metadata"]["namespace"]))

    def follow(self, changed: Callable[[Iterable[Document]], None]) -> None:
        """`changed` hears of every new state of a pod, and of all pods of a namespace that changed."""

        def pod_changed(old: Document | None, new: Document | None) -> None:
            if new is not None:
                changed([new])

        def namespace_changed(old: Document | None, new: Document | None) -> None:
            if new is not None:
                name = new["metadata"]["name"]
                changed([pod for (where, _), pod in self.pods.cache.items() if where == name])

        self.pods.on_change(pod_changed)
        self.namespaces.on_change(namespace_changed)
