"""Which pod runs where, and as whom: what a node may ask for in the name of its pods.

A node may write labels of its pods. So what labels say of a warm proxy (see `app.warm`) is not enough for a certificate
or for the configuration of a waypoint: that waypoint's account has to name the pod.
"""

from __future__ import annotations

from collections.abc import Callable

from plait.model import pool
from plait.store.api import Document
from plait.store.informer import Informer


class Placed:
    """Which pod runs where (identity.service.Placement)."""

    def __init__(self, pods: Informer, claim: Callable[[str], str]) -> None:
        """`claim(account)`: the UID of the warm proxy that may use this account of the pool, "" none."""
        self._pods, self._claim = pods, claim

    def node_of(self, namespace: str, pod: str, uid: str) -> str | None:
        document = self._pods.get(pod, namespace)
        if document is None or document["metadata"].get("uid") != uid or _ended(document):
            return None
        return document["spec"].get("nodeName") or None

    def known(self, namespace: str, pod: str) -> bool:
        return self._pods.get(pod, namespace) is not None

    def on(self, node: str, namespace: str, pod: str) -> bool:
        """Does this pod run there? A token that is bound to no node has no pods."""
        document = self._pods.get(pod, namespace)
        return bool(node) and document is not None and document["spec"].get("nodeName") == node and not _ended(document)

    def entitled(self, namespace: str, pod: str) -> bool:
        """May it be told what its labels say it is there for?"""
        document = self._pods.get(pod, namespace)
        return document is None or self._may_use(document, _speaks_as(document))

    def runs(self, node: str, namespace: str, service_account: str) -> bool:
        found = self._pods.indexed("account", f"{node}/{namespace}/{service_account}")
        return any(not _ended(pod) and self._may_use(pod, service_account) for pod in found)

    def _may_use(self, pod: Document, account: str) -> bool:
        """A node may write labels of its pods, so of a warm proxy they do not say enough."""
        return _own(pod) == account or self._claim(account) == pod["metadata"]["uid"]


def _ended(pod: Document) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def account(pod: Document) -> tuple[str, ...]:
    """The indexer of Pods: "node/namespace/account"."""
    return (f"{pod.get('spec', {}).get('nodeName', '')}/{pod['metadata']['namespace']}/{_speaks_as(pod)}",)


def _speaks_as(pod: Document) -> str:
    metadata = pod["metadata"]
    return pool.identity(metadata["namespace"], metadata.get("labels") or {}, _own(pod))


def _own(pod: Document) -> str:
    return str(pod.get("spec", {}).get("serviceAccountName") or "default")
