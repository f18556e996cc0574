"""ReplicaSet: which pods to create, adopt, release or delete so that `spec.replicas` of them run; and its status."""

from __future__ import annotations

from collections.abc import Sequence

from plait.local.controllers import podset
from plait.local.controllers.cluster import Cluster
from plait.local.controllers.controller import Controller, itself, managed_by
from plait.local.controllers.selectors import matches
from plait.local.controllers.writes import Create, Emit, Outcome, Write, remove, status
from plait.resources.kinds import POD, REPLICA_SET
from plait.store.api import Document
from plait.store.informer import Key

_BURST = 100  # creations or deletions of one turn


def reconcile(replica_set: Document, owned: Sequence[Document], orphans: Sequence[Document], now: float) -> Outcome:
    """`owned`: pods managed by it. `orphans`: pods of its namespace that nobody manages."""
    spec, metadata = replica_set["spec"], replica_set["metadata"]
    deleting = "deletionTimestamp" in metadata
    writes: list[Write] = []
    mine: list[Document] = []
    for pod in owned:
        if matches(spec.get("selector"), pod["metadata"].get("labels")) or podset.is_terminating(pod):
            mine.append(pod)
        elif not deleting:
            writes += podset.release(pod, replica_set)
    if not deleting:
        for pod in orphans:
            if matches(spec.get("selector"), pod["metadata"].get("labels")) and podset.is_active(pod):
                writes += podset.claim(pod, REPLICA_SET, replica_set)
                mine.append(pod)
    active = [pod for pod in mine if podset.is_active(pod)]
    wanted = int(spec.get("replicas", 1))
    if not deleting:
        if missing := max(0, wanted - len(active)):
            pod = podset.pod_from(spec.get("template") or {}, REPLICA_SET, replica_set)
            writes += [Create(POD, pod)] * min(missing, _BURST)
            message = f"Created {missing} pod{'s' if missing > 1 else ''}"
            writes.append(Emit(replica_set, "SuccessfulCreate", message, "replicaset-controller"))
        for pod in podset.first_to_go(active)[: min(_BURST, max(0, len(active) - wanted))]:
            writes.append(remove(POD, pod))
            message = f"Deleted pod: {pod['metadata']['name']}"
            writes.append(Emit(replica_set, "SuccessfulDelete", message, "replicaset-controller"))
    fresh, again = _status(replica_set, active, now)
    return Outcome((*writes, *status(REPLICA_SET, replica_set, fresh)), again)


def _status(replica_set: Document, active: Sequence[Document], now: float) -> tuple[Document, float | None]:
    spec = replica_set["spec"]
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    waits = [podset.available_in(pod, float(spec.get("minReadySeconds", 0)), now) for pod in active]
    counts = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(labels.items() <= (p["metadata"].get("labels") or {}).items() for p in active),
        "readyReplicas": sum(wait is not None for wait in waits),
        "availableReplicas": sum(wait == 0 for wait in waits),
    }
    before = replica_set.get("status") or {}
    fresh = {k: v for k, v in before.items() if k not in counts}
    fresh.update({k: v for k, v in counts.items() if v or k == "replicas"})
    fresh["observedGeneration"] = replica_set["metadata"].get("generation", 1)
    return fresh, min((wait for wait in waits if wait), default=None)


def controller() -> Controller:
    def turn(cluster: Cluster, key: Key, now: float) -> Outcome:
        replica_set = cluster[REPLICA_SET].cache.get(key)
        if replica_set is None:
            return Outcome()
        orphans = [
            pod for pod in cluster.in_namespace(POD, key[0]) if not podset.is_terminating(pod) and _unmanaged(pod)
        ]
        return reconcile(replica_set, cluster.controlled(POD, replica_set), orphans, now)

    return Controller("replicasets", {REPLICA_SET: itself, POD: managed_by(REPLICA_SET)}, turn)


def _unmanaged(pod: Document) -> bool:
    return not any(reference.get("controller") for reference in pod["metadata"].get("ownerReferences") or ())
