"""Node lifecycle: a node whose lease is stale is not ready, its pods neither; pods of a node that is gone are gone."""

from __future__ import annotations

from collections.abc import Sequence

from plait.local.controllers import podset
from plait.local.controllers.cluster import Cluster
from plait.local.controllers.controller import Controller, itself
from plait.local.controllers.times import seconds, stamp
from plait.local.controllers.writes import Emit, Outcome, Patch, Write, remove
from plait.resources.kinds import LEASE, NODE, POD
from plait.store.api import Document
from plait.store.informer import Key

LEASES = "kube-node-lease"
_YOUNG = 10.0  # seconds
_GRACE = 40.0  # seconds without a renewal, where the lease itself says nothing


def reconcile(node: Document, lease: Document | None, pods: Sequence[Document], now: float) -> Outcome:
    """`pods`: bound to the node. A node without a lease has not begun to report; its kubelet sets its conditions."""
    if lease is None:
        return Outcome()
    spec = lease.get("spec") or {}
    left = seconds(spec.get("renewTime"), now) + float(spec.get("leaseDurationSeconds") or _GRACE) - now
    if left > 0:
        return Outcome((), left + 0.1)
    writes = _unknown(node, now)
    for pod in pods:
        if podset.is_ready(pod):
            writes.append(_not_ready(pod, now))
    return Outcome(tuple(writes))


def orphaned(pods: Sequence[Document], now: float) -> Outcome:
    """Pods whose node is no more: nobody else can end them. A young pod may be waiting for a node still to register."""
    old = [p for p in pods if now - seconds(p["metadata"].get("creationTimestamp")) >= _YOUNG]
    return Outcome(tuple(remove(POD, pod, grace=0) for pod in old), _YOUNG if len(old) < len(pods) else None)


def _unknown(node: Document, now: float) -> list[Write]:
    conditions = (node.get("status") or {}).get("conditions") or []
    present = next((c for c in conditions if c["type"] == "Ready"), None)
    if present is not None and present["status"] == "Unknown":
        return []
    made = {
        **(present or {}),
        "type": "Ready",
        "status": "Unknown",
        "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.",
        "lastTransitionTime": stamp(now),
    }
    body = {"status": {"conditions": [*(c for c in conditions if c["type"] != "Ready"), made]}}
    metadata = node["metadata"]
    told = Emit(node, "NodeNotReady", f"Node {metadata['name']} status is now: NodeNotReady", "node-controller")
    return [Patch(NODE, "", metadata["name"], body, "status", metadata["resourceVersion"]), told]


def _not_ready(pod: Document, now: float) -> Patch:
    changed = {"status": "False", "lastTransitionTime": stamp(now), "reason": "NodeNotReady"}
    conditions = [{**c, **changed} if c["type"] == "Ready" else c for c in pod["status"]["conditions"]]
    metadata = pod["metadata"]
    body = {"status": {"conditions": conditions}}
    return Patch(POD, metadata["namespace"], metadata["name"], body, "status", metadata["resourceVersion"])


def controller() -> Controller:
    def turn(cluster: Cluster, key: Key, now: float) -> Outcome:
        pods = cluster[POD].indexed("node", key[1])
        node = cluster[NODE].cache.get(key)
        if node is None:
            return orphaned(pods, now)
        return reconcile(node, cluster[LEASE].get(key[1], LEASES), pods, now)

    def of_lease(lease: Document) -> list[Key]:
        return [("", lease["metadata"]["name"])] if lease["metadata"].get("namespace") == LEASES else []

    def of_pod(pod: Document) -> list[Key]:
        return [("", pod["spec"]["nodeName"])] if pod["spec"].get("nodeName") else []

    return Controller("nodes", {NODE: itself, LEASE: of_lease, POD: of_pod}, turn)
