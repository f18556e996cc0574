"""Namespace deletion: first everything in it, then the namespace lets go of its last finalizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plait.local.controllers.cluster import Cluster
from plait.local.controllers.controller import Controller
from plait.local.controllers.writes import Outcome, Replace, Write, remove
from plait.resources import kinds
from plait.resources.kinds import CRD, NAMESPACE, Kind
from plait.store.api import Document
from plait.store.informer import Key

_FINALIZER = "kubernetes"
CONTENT: tuple[Kind, ...] = tuple(kind for kind in kinds.ALL if kind.namespaced)


def reconcile(namespace: Document, content: Mapping[Kind, Sequence[Document]]) -> list[Write]:
    """`content`: all that the namespace still holds."""
    if "deletionTimestamp" not in namespace["metadata"]:
        return []
    held = namespace.get("spec", {}).get("finalizers") or []
    if not any(content.values()):
        if _FINALIZER not in held:
            return []
        left = [finalizer for finalizer in held if finalizer != _FINALIZER]
        done = {**namespace, "spec": {**namespace["spec"], "finalizers": left}}
        return [Replace(NAMESPACE, done, "finalize")]
    return [
        remove(kind, document)
        for kind, documents in content.items()
        for document in documents
        if "deletionTimestamp" not in document["metadata"]
    ]


def controller() -> Controller:
    def turn(cluster: Cluster, key: Key, now: float) -> Outcome:
        namespace = cluster[NAMESPACE].cache.get(key)
        if namespace is None or "deletionTimestamp" not in namespace["metadata"]:
            return Outcome()
        if not cluster.custom_synced():
            return Outcome(again=0.2)  # a cache that is not complete may hide what is still there
        content = {kind: cluster.in_namespace(kind, key[1]) for kind in CONTENT}
        content |= {i.kind: i.indexed("namespace", key[1]) for i in cluster.custom.values() if i.kind.namespaced}
        # A creation that was under way when the namespace began to end may still arrive: look once more.
        return Outcome(tuple(reconcile(namespace, content)), again=1.0)

    def of_content(cluster: Cluster, document: Document) -> list[Key]:
        key = ("", document["metadata"].get("namespace", ""))
        namespace = cluster[NAMESPACE].cache.get(key)
        return [key] if namespace is not None and "deletionTimestamp" in namespace["metadata"] else []

    def ending(namespace: Document) -> list[Key]:
        return [("", namespace["metadata"]["name"])] if "deletionTimestamp" in namespace["metadata"] else []

    wakes_in = dict.fromkeys(CONTENT, of_content)
    return Controller("namespaces", {NAMESPACE: ending, CRD: lambda crd: []}, turn, 4, wakes_in, of_content)
