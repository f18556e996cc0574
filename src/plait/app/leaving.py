"""Leaving: a pod is deleted only when every proxy knows that nobody is to be sent to it any more.

Kubernetes begins to end a pod in the moment in which clients begin to hear of it, and a `preStop` pause is a clock that
nobody reads. The API server asks an admission webhook before it deletes, though: by then the pod is told as gone, and
the answer waits until every Envoy that is connected has acknowledged that. So the pause, and the application's end,
begin when nobody comes any more. Whoever is silent holds a pod up for `LONGEST`; a control plane that is away does not.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from plait.app.pipeline import Pipeline
from plait.base import aio
from plait.base.observe import logger
from plait.inject.policy import SYSTEM
from plait.resources import kinds
from plait.store.api import Document
from plait.store.informer import Informer
from plait.xds.cache import Cache

PATH: Final = "/leave"
NAME: Final = "plait-leaving"
LONGEST: Final = 8.0
"""Seconds that a pod is held for a proxy that does not acknowledge."""
WORKERS: Final = 0.2
"""Envoy's main thread acknowledges; its workers take it over a little later, and have sent something just before."""
FORGOTTEN: Final = 5.0
"""Seconds after which a pod that was not deleted after all (another webhook refused it) serves again."""
_LOOK: Final = 0.01
_log = logger("leaving")
Mark = Mapping[Cache, int]


class Leaving:
    """`await hold(namespace, name)` returns when the pod may be deleted; `seen` is how the mesh sees it meanwhile."""

    def __init__(
        self, pods: Informer, namespaces: Informer, pipeline: Pipeline, audience: Callable[[], Iterable[Cache]]
    ) -> None:
        """`audience`: everybody who is told, one cache for each or for all of a kind."""
        self._pods, self._namespaces, self._pipeline, self._audience = pods, namespaces, pipeline, audience
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """By uid of the pod."""
        self._late: Mark = {}
        """What somebody had not acknowledged in time: who still has not is not waited for again."""

    def seen(self, pod: Document | None) -> Document | None:
        """The pod, but one that leaves as if it were being deleted already."""
        if pod is None or pod["metadata"]["uid"] not in self._tasks or "deletionTimestamp" in pod["metadata"]:
            return pod
        return {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "1970-01-01T00:00:00Z"}}

    async def hold(self, namespace: str, name: str) -> None:
        """Of a pod that nobody is sent to there is nothing to tell, and one whose namespace goes has no clients."""
        pod, space = self._pods.get(name, namespace), self._namespaces.get(namespace)
        if pod is None or (space is not None and "deletionTimestamp" in space["metadata"]):
            return
        uid = pod["metadata"]["uid"]
        if uid not in self._tasks:
            if not self._serves(namespace, name):
                return
            self._tasks[uid] = aio.spawn(self._leave(uid, namespace, name), f"leaving of {namespace}/{name}")
        await asyncio.shield(self._tasks[uid])

    async def close(self) -> None:
        await aio.cancel(*self._tasks.values())

    def _serves(self, namespace: str, name: str) -> bool:
        mesh = self._pipeline.mesh
        workload = mesh.workloads.get(f"{mesh.settings.cluster_id}//Pod/{namespace}/{name}")
        return workload is not None and workload.healthy

    async def _leave(self, uid: str, namespace: str, name: str) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + LONGEST
        self._tell(namespace, name)
        while not self._pipeline.settled and loop.time() < ends:
            await asyncio.sleep(_LOOK)
        mark = {cache: cache.generation for cache in self._audience()}
        known = set(_behind(self._late))
        while (behind := [who for who in _behind(mark) if who not in known]) and loop.time() < ends:
            await asyncio.sleep(_LOOK)
        if behind:
            self._late = mark
            _log.warning("not everybody knows that a pod goes", pod=f"{namespace}/{name}", silent=", ".join(behind))
        await asyncio.sleep(WORKERS)
        loop.call_later(FORGOTTEN, self._forget, uid, namespace, name)

    def _tell(self, namespace: str, name: str) -> None:
        pod = self._pods.get(name, namespace)
        self._pipeline.changed(kinds.POD, pod, self.seen(pod))

    def _forget(self, uid: str, namespace: str, name: str) -> None:
        self._tasks.pop(uid, None)
        pod = self._pods.get(name, namespace)
        if pod is not None and pod["metadata"]["uid"] == uid:
            self._tell(namespace, name)


def _behind(mark: Mark) -> Iterable[str]:
    return (name for cache, generation in mark.items() for name in cache.behind(generation))


def configuration(url: str, bundle: str) -> Document:
    """The ValidatingWebhookConfiguration: it refuses nothing, and nothing depends on it (failurePolicy Ignore).

    Evictions are not in it: a disruption budget may refuse them after that, again and again, and the pod has to serve.
    """
    system = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(SYSTEM)}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": NAME},
        "webhooks": [
            {
                "name": "leaving.plait.dev",
                "clientConfig": {"url": url, "caBundle": base64.b64encode(bundle.encode()).decode()},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["DELETE"]}],
                "namespaceSelector": {"matchExpressions": [system]},
                # A kubelet's last word about a pod that it has ended is not asked about.
                "matchConditions": [{"name": "living", "expression": _LIVING}],
                "failurePolicy": "Ignore",
                "sideEffects": "NoneOnDryRun",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 10,
            }
        ],
    }


_LIVING: Final = "!has(oldObject.metadata.deletionTimestamp)"


def subject(asked: Mapping[str, Any]) -> tuple[str, str] | None:
    """Namespace and name of the pod that a review is about; None when nothing is to be done for it (a dry run)."""
    namespace, name = str(asked.get("namespace") or ""), str(asked.get("name") or "")
    return None if asked.get("dryRun") or not name else (namespace, name)
