"""How far a Deployment's rollout is: its status counts and the Available and Progressing conditions. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from plait.local.controllers.strategy import limits, replicas
from plait.local.controllers.times import seconds, stamp
from plait.store.api import Document

_DEFAULT_DEADLINE = 600


def complete(deployment: Document, fresh: Document) -> bool:
    """Every wanted pod is of the newest template and available, and no old one is left."""
    wanted = replicas(deployment)
    return all(fresh.get(count, 0) == wanted for count in ("updatedReplicas", "replicas", "availableReplicas"))


def status(
    deployment: Document, new: Document | None, old: Sequence[Document], now: float
) -> tuple[Document, float | None]:
    """The fresh status, and seconds until the progress deadline could pass."""
    spec, before = deployment["spec"], deployment.get("status") or {}
    sets = [*old, *([new] if new is not None else [])]
    available = _sum(sets, "availableReplicas")
    wanted = replicas(deployment)
    counts = {
        "replicas": _sum(sets, "replicas"),
        "updatedReplicas": _sum([new] if new is not None else [], "replicas"),
        "readyReplicas": _sum(sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(map(replicas, sets)) - available),
    }
    fresh: Document = {key: value for key, value in counts.items() if value}
    fresh["observedGeneration"] = deployment["metadata"].get("generation", 1)
    if before.get("collisionCount"):
        fresh["collisionCount"] = before["collisionCount"]
    conditions = {c["type"]: dict(c) for c in before.get("conditions") or ()}
    recreate = (spec.get("strategy") or {}).get("type") == "Recreate"
    enough = available >= (0 if recreate else wanted - limits(deployment)[1])
    _set(
        conditions,
        "Available",
        "True" if enough else "False",
        "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        f"Deployment {'has' if enough else 'does not have'} minimum availability.",
        now,
    )
    again = _progress(deployment, new, conditions, fresh, before, now)
    fresh["conditions"] = list(conditions.values())
    return fresh, again


def _progress(
    deployment: Document,
    new: Document | None,
    conditions: dict[str, Document],
    fresh: Document,
    before: Document,
    now: float,
) -> float | None:
    spec = deployment["spec"]
    deadline = int(spec.get("progressDeadlineSeconds", _DEFAULT_DEADLINE))
    name = f'ReplicaSet "{new["metadata"]["name"]}"' if new is not None else "Deployment"
    present = conditions.get("Progressing")
    if spec.get("paused"):
        _set(conditions, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now)
        return None
    if complete(deployment, fresh) and new is not None:
        message = f"{name} has successfully progressed."
        _set(conditions, "Progressing", "True", "NewReplicaSetAvailable", message, now)
        return None
    if new is None:
        _set(conditions, "Progressing", "True", "NewReplicaSetCreated", "Creating a new replica set", now, touch=True)
        return float(deadline)
    moved = any(
        fresh.get(key, 0) > before.get(key, 0) for key in ("updatedReplicas", "readyReplicas", "availableReplicas")
    ) or (fresh.get("replicas", 0) - fresh.get("updatedReplicas", 0)) < (
        before.get("replicas", 0) - before.get("updatedReplicas", 0)
    )
    restarted = present is None or present.get("reason") in ("DeploymentPaused", "NewReplicaSetAvailable")
    if moved or restarted:
        _set(conditions, "Progressing", "True", "ReplicaSetUpdated", f"{name} is progressing.", now, touch=True)
        return float(deadline)
    since = seconds((present or {}).get("lastUpdateTime"), now)
    if (left := since + deadline - now) > 0:
        return left
    message = f"{name} has timed out progressing."
    _set(conditions, "Progressing", "False", "ProgressDeadlineExceeded", message, now)
    return None


def _set(
    conditions: dict[str, Document], type: str, value: str, reason: str, message: str, now: float, touch: bool = False
) -> None:
    present = conditions.get(type)
    if present is not None and not touch and (present["status"], present.get("reason")) == (value, reason):
        return
    changed = present is None or present["status"] != value
    conditions[type] = {
        "type": type,
        "status": value,
        "reason": reason,
        "message": message,
        "lastUpdateTime": stamp(now),
        "lastTransitionTime": stamp(now) if changed or present is None else present["lastTransitionTime"],
    }


def _sum(sets: Sequence[Document], field: str) -> int:
    return sum(int((rs.get("status") or {}).get(field, 0)) for rs in sets)
