"""A running local mesh as demo and bench see it: its API, its pods and the namespaces they live in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from plait.local.layout import Layout
from plait.local.record import Record
from plait.resources import documents
from plait.resources.kinds import NAMESPACE, POD, by_document
from plait.store.api import Api, ApiError, Document
from plait.trial import child

T = TypeVar("T")


class SceneError(Exception):
    """The mesh did not do in time what the next step needs; the message says what was seen."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One running pod: where it is and how to be inside it."""

    namespace: str
    name: str
    node: str
    address: str
    netns: Path
    annotations: dict[str, str]


@dataclass(frozen=True, slots=True)
class Scene:
    """`holder` is the process that holds the user namespace of a rootless mesh, else 0."""

    layout: Layout
    record: Record
    api: Api
    holder: int = 0

    @property
    def fabric(self) -> Path:
        return self.layout.netns("fab")

    async def apply(self, *files: Path) -> list[Document]:
        """Server-side apply of every document of the files, in order."""
        applied = []
        for file in files:
            sourced, problems = documents.read(file.read_text(), str(file))
            if problems:
                raise SceneError(f"{file}: {problems[0]}")
            for item in sourced:
                document = item.document
                kind = by_document(document)
                if kind is None:
                    raise SceneError(f"{file}: no kind {document.get('apiVersion')}/{document.get('kind')}")
                meta = document["metadata"]
                applied.append(
                    await self.api.patch(
                        kind, meta["name"], document, meta.get("namespace", ""), type="apply", force=True
                    )
                )
        return applied

    async def put(self, documents: Iterable[Document], patience: float = 60.0) -> None:
        """Server-side apply in order. An API server that fails to ask a webhook on a busy machine is asked again."""
        for document in documents:
            kind, meta = by_document(document), document["metadata"]
            if kind is None:
                raise SceneError(f"no kind {document.get('apiVersion')}/{document.get('kind')}")
            until_then = time.perf_counter() + patience
            while True:
                try:
                    namespace = meta.get("namespace", "")
                    await self.api.patch(kind, meta["name"], document, namespace, type="apply", force=True)
                    break
                except ApiError as error:
                    if error.code < 500 or time.perf_counter() > until_then:
                        raise SceneError(f"{kind.kind} {meta['name']}: {error}") from error
                    await asyncio.sleep(0.5)

    async def delete(self, *files: Path) -> None:
        for file in files:
            for item in documents.read(file.read_text(), str(file))[0]:
                kind = by_document(item.document)
                meta = item.document["metadata"]
                if kind is not None:
                    await self.api.delete(kind, meta["name"], meta.get("namespace", ""))

    async def pods(self, namespace: str, labels: str = "") -> list[Pod]:
        """Ready pods only, by name."""
        items, _ = await self.api.list(POD, namespace, labels=labels)
        return sorted((self._pod(item) for item in items if ready(item)), key=lambda pod: pod.name)

    async def pod(self, namespace: str, app: str) -> Pod:
        found = await self.pods(namespace, f"app={app}")
        if not found:
            raise SceneError(f"no ready pod app={app} in namespace {namespace}")
        return found[0]

    def _pod(self, item: Document) -> Pod:
        meta = item["metadata"]
        return Pod(
            meta["namespace"],
            meta["name"],
            item["spec"].get("nodeName", ""),
            item["status"].get("podIP", ""),
            self.layout.pod_netns(meta["uid"]),
            dict(meta.get("annotations") or {}),
        )

    async def wait_ready(self, namespaces: Iterable[str], timeout: float = 30.0) -> None:
        """Until every pod of these namespaces is Ready and there is at least one in each."""
        names = tuple(namespaces)

        async def settled() -> str:
            for name in names:
                items, _ = await self.api.list(POD, name)
                late = [item["metadata"]["name"] for item in items if not ready(item)]
                if late or not items:
                    return f"not ready in {name}: {', '.join(late) or 'no pods yet'}"
            return ""

        await until(settled, timeout)

    async def label_namespace(self, name: str, labels: dict[str, str | None]) -> None:
        await self.api.patch(NAMESPACE, name, {"metadata": {"labels": labels}})

    async def inside(self, pod: Pod, work: Callable[[asyncio.Event], Coroutine[Any, Any, T]]) -> T:
        """Run work in the pod's network namespace, as its own traffic."""
        return await finished(child.start(work, pod.netns, self.holder))


async def finished(running: child.Child[T]) -> T:
    """Wait for a child without blocking the event loop."""
    return await asyncio.get_running_loop().run_in_executor(None, running.wait)


async def until(settled: Callable[[], Coroutine[Any, Any, str]], timeout: float, every: float = 0.005) -> float:
    """Poll until `settled` returns ""; gives the seconds it took, or SceneError with its last words."""
    began = time.perf_counter()
    while True:
        try:
            words = await settled()
        except (ApiError, OSError) as error:
            words = str(error)
        if not words:
            return time.perf_counter() - began
        if time.perf_counter() - began > timeout:
            raise SceneError(f"after {timeout:.0f} s: {words}")
        await asyncio.sleep(every)


def ready(pod: Document) -> bool:
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
