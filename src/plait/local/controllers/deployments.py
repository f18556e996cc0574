"""Deployment: which ReplicaSets there are, how many replicas each has now, and when old ones are forgotten.

The rolling update is Kubernetes': at most maxSurge pods above, at most maxUnavailable available pods below the wish.
A template seen before finds its ReplicaSet again, which is how a rollback is cheap. Status is `rollout.py`'s.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from plait.local.controllers import podset, rollout
from plait.local.controllers.cluster import Cluster
from plait.local.controllers.controller import Controller, itself, managed_by
from plait.local.controllers.strategy import available, limits, replicas
from plait.local.controllers.times import seconds
from plait.local.controllers.writes import Create, Emit, Outcome, Patch, Write, remove, status
from plait.resources.kinds import DEPLOYMENT, POD, REPLICA_SET
from plait.store.api import Document
from plait.store.informer import Key

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = frozenset({REVISION, DESIRED, MOST, "kubectl.kubernetes.io/last-applied-configuration"})


def reconcile(
    deployment: Document, replica_sets: Sequence[Document], pods: Sequence[Document], now: float, taken: bool = False
) -> Outcome:
    """`replica_sets` and `pods` (of those sets): managed ones. `taken`: a stranger has the next set's name."""
    if "deletionTimestamp" in deployment["metadata"]:
        return Outcome()
    spec = deployment["spec"]
    new = newest(deployment, replica_sets)
    old = [rs for rs in replica_sets if rs is not new]
    writes: list[Write] = []
    if taken and new is None:
        collisions = int((deployment.get("status") or {}).get("collisionCount") or 0) + 1
        body = {"status": {"collisionCount": collisions}}
        return Outcome((_patch(deployment, body, "status"),))
    if spec.get("paused"):
        writes += _scale_paused(deployment, replica_sets)
    elif (spec.get("strategy") or {}).get("type") == "Recreate":
        writes += _recreate(deployment, new, old, pods)
    else:
        writes += _roll(deployment, new, old)
    if not spec.get("paused"):
        writes += _annotate(deployment, new, old)
    fresh, again = rollout.status(deployment, new, old, now)
    if rollout.complete(deployment, fresh):
        writes += _forget(deployment, old)
    return Outcome((*writes, *status(DEPLOYMENT, deployment, fresh)), again)


def newest(deployment: Document, replica_sets: Sequence[Document]) -> Document | None:
    """The ReplicaSet of the present template, the oldest of several."""
    template = _bare(deployment["spec"]["template"])
    name = _name(deployment)
    found = [rs for rs in replica_sets if _bare(rs["spec"]["template"]) == template or rs["metadata"]["name"] == name]
    return min(
        found, key=lambda rs: (seconds(rs["metadata"].get("creationTimestamp")), rs["metadata"]["name"]), default=None
    )


def _bare(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template without the label that only ReplicaSets carry."""
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH}
    metadata.pop("creationTimestamp", None)
    return {"metadata": metadata, "spec": template.get("spec")}


def _hash(deployment: Document) -> str:
    collisions = (deployment.get("status") or {}).get("collisionCount") or 0
    return podset.digest([_bare(deployment["spec"]["template"]), collisions])


def _name(deployment: Document) -> str:
    return f"{deployment['metadata']['name']}-{_hash(deployment)}"


def _made(deployment: Document, count: int, revision: int) -> Document:
    template = copy.deepcopy(deployment["spec"]["template"])
    hashed = _hash(deployment)
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels[HASH] = hashed
    selector = copy.deepcopy(deployment["spec"].get("selector") or {})
    selector.setdefault("matchLabels", {})[HASH] = hashed
    metadata = {
        "name": _name(deployment),
        "namespace": deployment["metadata"]["namespace"],
        "labels": dict(labels),
        "annotations": {**_copied(deployment), **_sizes(deployment), REVISION: str(revision)},
        "ownerReferences": [podset.owner_reference(DEPLOYMENT, deployment)],
    }
    spec: dict[str, Any] = {"replicas": count, "selector": selector, "template": template}
    if deployment["spec"].get("minReadySeconds"):
        spec["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}


def _copied(deployment: Document) -> dict[str, str]:
    annotations = deployment["metadata"].get("annotations") or {}
    return {key: value for key, value in annotations.items() if key not in _NOT_COPIED}


def _sizes(deployment: Document) -> dict[str, str]:
    return {DESIRED: str(replicas(deployment)), MOST: str(replicas(deployment) + limits(deployment)[0])}


def revision_of(document: Document) -> int:
    text = (document["metadata"].get("annotations") or {}).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def _annotate(deployment: Document, new: Document | None, old: Sequence[Document]) -> list[Write]:
    """Revision numbers: the newest set has the highest, also when it came back by a rollback."""
    if new is None:
        return []
    highest = max((revision_of(rs) for rs in old), default=0)
    revision = str(max(revision_of(new), highest + 1))
    writes: list[Write] = []
    wanted = {**_copied(deployment), **_sizes(deployment), REVISION: revision}
    if not wanted.items() <= (new["metadata"].get("annotations") or {}).items():
        writes.append(_patch(new, {"metadata": {"annotations": wanted}}))
    if (deployment["metadata"].get("annotations") or {}).get(REVISION) != revision:
        writes.append(_patch(deployment, {"metadata": {"annotations": {REVISION: revision}}}))
    return writes


def _create(deployment: Document, count: int, old: Sequence[Document]) -> list[Write]:
    made = _made(deployment, count, max((revision_of(rs) for rs in old), default=0) + 1)
    message = f"Scaled up replica set {made['metadata']['name']} from 0 to {count}"
    return [Create(REPLICA_SET, made), _told(deployment, message)]


def _scale(deployment: Document, replica_set: Document, count: int) -> list[Write]:
    before = replicas(replica_set)
    if count == before:
        return []
    way = "up" if count > before else "down"
    message = f"Scaled {way} replica set {replica_set['metadata']['name']} from {before} to {count}"
    body = {"spec": {"replicas": count}, "metadata": {"annotations": _sizes(deployment)}}
    return [_patch(replica_set, body), _told(deployment, message)]


def _roll(deployment: Document, new: Document | None, old: Sequence[Document]) -> list[Write]:
    wanted, (surge, unavailable) = replicas(deployment), limits(deployment)
    total = sum(map(replicas, old)) + (replicas(new) if new is not None else 0)
    if new is None:
        return _create(deployment, max(0, min(wanted, wanted + surge - total)), old)
    if replicas(new) > wanted:
        return _scale(deployment, new, wanted)
    if replicas(new) < wanted and (room := wanted + surge - total) > 0:
        return _scale(deployment, new, min(wanted, replicas(new) + room))
    return _shrink(deployment, new, old, total - (wanted - unavailable))


def _shrink(deployment: Document, new: Document, old: Sequence[Document], surplus: int) -> list[Write]:
    """Old sets give up pods that do not serve first, then serving ones while enough others do."""
    may_go = surplus - (replicas(new) - available(new))
    writes: list[Write] = []
    left: dict[str, int] = {}
    by_age = sorted(old, key=lambda rs: (seconds(rs["metadata"].get("creationTimestamp")), rs["metadata"]["name"]))
    for rs in by_age:
        idle = min(max(0, may_go), max(0, replicas(rs) - available(rs)))
        may_go -= idle
        left[rs["metadata"]["name"]] = replicas(rs) - idle
    serving = available(new) + sum(min(available(rs), left[rs["metadata"]["name"]]) for rs in by_age)
    spare = min(max(0, may_go), serving - (replicas(deployment) - limits(deployment)[1]))
    for rs in by_age:
        down = min(max(0, spare), left[rs["metadata"]["name"]])
        spare -= down
        writes += _scale(deployment, rs, left[rs["metadata"]["name"]] - down)
    return writes


def _recreate(
    deployment: Document, new: Document | None, old: Sequence[Document], pods: Sequence[Document]
) -> list[Write]:
    writes = [write for rs in old for write in _scale(deployment, rs, 0)]
    uids = {rs["metadata"]["uid"] for rs in old}
    if writes or any(
        reference["uid"] in uids and podset.phase(pod) not in ("Succeeded", "Failed")
        for pod in pods
        for reference in pod["metadata"].get("ownerReferences") or ()
    ):
        return writes
    if new is None:
        return _create(deployment, replicas(deployment), old)
    return _scale(deployment, new, replicas(deployment))


def _scale_paused(deployment: Document, replica_sets: Sequence[Document]) -> list[Write]:
    """A paused deployment still follows its replica count, in the set that is in use."""
    in_use = [rs for rs in replica_sets if replicas(rs)]
    return _scale(deployment, in_use[0], replicas(deployment)) if len(in_use) == 1 else []


def _forget(deployment: Document, old: Sequence[Document]) -> list[Write]:
    keep = int(deployment["spec"].get("revisionHistoryLimit", 10))
    empty = [rs for rs in old if not replicas(rs) and not (rs.get("status") or {}).get("replicas")]
    empty = [rs for rs in empty if "deletionTimestamp" not in rs["metadata"]]
    return [remove(REPLICA_SET, rs) for rs in sorted(empty, key=revision_of)[: max(0, len(empty) - keep)]]


def _patch(document: Document, body: Mapping[str, Any], subresource: str = "") -> Patch:
    metadata = document["metadata"]
    kind = DEPLOYMENT if document.get("kind") == "Deployment" else REPLICA_SET
    return Patch(kind, metadata["namespace"], metadata["name"], body, subresource)


def _told(deployment: Document, message: str) -> Emit:
    return Emit(deployment, "ScalingReplicaSet", message, "deployment-controller")


def controller() -> Controller:
    def turn(cluster: Cluster, key: Key, now: float) -> Outcome:
        deployment = cluster[DEPLOYMENT].cache.get(key)
        if deployment is None:
            return Outcome()
        owned = cluster.controlled(REPLICA_SET, deployment)
        pods = [pod for rs in owned for pod in cluster.controlled(POD, rs)]
        stranger = cluster[REPLICA_SET].get(_name(deployment), key[0])
        return reconcile(deployment, owned, pods, now, stranger is not None and stranger not in owned)

    def of_pod(pod: Document) -> list[Key]:
        # Only Recreate waits for pods themselves; their ReplicaSet's status tells the rest.
        for reference in pod["metadata"].get("ownerReferences") or ():
            if reference.get("kind") == "ReplicaSet" and HASH in (pod["metadata"].get("labels") or {}):
                return [(pod["metadata"]["namespace"], reference["name"].rpartition("-")[0])]
        return []

    wakes = {DEPLOYMENT: itself, REPLICA_SET: managed_by(DEPLOYMENT), POD: of_pod}
    return Controller("deployments", wakes, turn)
