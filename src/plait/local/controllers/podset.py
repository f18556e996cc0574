"""Pods as the workload controllers see them: made from a template, owned, active, ready, available. Pure."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from plait.local.controllers.times import seconds
from plait.local.controllers.writes import Patch, Write
from plait.resources.kinds import POD, Kind
from plait.store.api import Document

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # no vowels, no look-alikes: a digest that spells nothing


def digest(value: object, length: int = 10) -> str:
    """A short name-safe digest of a JSON value; equal values give equal digests."""
    raw = blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=length).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in raw)


def owner_reference(kind: Kind, owner: Document) -> Document:
    return {
        "apiVersion": kind.api_version(),
        "kind": kind.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_from(
    template: Mapping[str, Any], kind: Kind, owner: Document, *, labels: Mapping[str, str] = {}, node: str = ""
) -> Document:
    """A pod of the template, managed by `owner`; its name is the server's to finish."""
    metadata = template.get("metadata") or {}
    made: dict[str, Any] = {
        "generateName": f"{owner['metadata']['name']}-",
        "namespace": owner["metadata"]["namespace"],
        "labels": {**(metadata.get("labels") or {}), **labels},
        "ownerReferences": [owner_reference(kind, owner)],
    }
    for field in ("annotations", "finalizers"):
        if metadata.get(field):
            made[field] = copy.deepcopy(metadata[field])
    spec = copy.deepcopy(dict(template.get("spec") or {}))
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": spec}


def phase(pod: Document) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def is_terminating(pod: Document) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def is_active(pod: Document) -> bool:
    """Counts as a replica: neither finished nor being deleted."""
    return phase(pod) not in ("Succeeded", "Failed") and not is_terminating(pod)


def ready_condition(pod: Document) -> Document | None:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready":
            return dict(condition)
    return None


def is_ready(pod: Document) -> bool:
    condition = ready_condition(pod)
    return condition is not None and condition.get("status") == "True"


def available_in(pod: Document, min_ready: float, now: float) -> float | None:
    """Seconds until a ready pod counts as available (0: it does); None when it is not ready."""
    condition = ready_condition(pod)
    if condition is None or condition.get("status") != "True":
        return None
    if not min_ready:
        return 0.0
    return max(0.0, seconds(condition.get("lastTransitionTime"), now) + min_ready - now)


def first_to_go(pods: Iterable[Document]) -> list[Document]:
    """Pods in the order in which a scale-down deletes them: unplaced, unready and young ones first."""

    def rank(pod: Document) -> tuple[object, ...]:
        cost = (pod["metadata"].get("annotations") or {}).get("controller.kubernetes.io/pod-deletion-cost", "0")
        return (
            bool(pod["spec"].get("nodeName")),
            {"Pending": 0, "Unknown": 1}.get(phase(pod), 2),
            is_ready(pod),
            int(cost) if cost.lstrip("-").isdecimal() else 0,
            -seconds(pod["metadata"].get("creationTimestamp")),
            pod["metadata"]["name"],
        )

    return sorted(pods, key=rank)


def claim(pod: Document, kind: Kind, owner: Document) -> list[Write]:
    """Become the managing owner of a pod that has none."""
    references = [*(pod["metadata"].get("ownerReferences") or ()), owner_reference(kind, owner)]
    return [_set_owners(pod, references)]


def release(pod: Document, owner: Document) -> list[Write]:
    """Let a pod go whose labels no longer match: the way to take one out for a look."""
    uid = owner["metadata"]["uid"]
    return [_set_owners(pod, [r for r in pod["metadata"].get("ownerReferences") or () if r["uid"] != uid])]


def _set_owners(pod: Document, references: list[Document]) -> Patch:
    metadata = pod["metadata"]
    body = {"metadata": {"ownerReferences": references or None, "uid": metadata["uid"]}}
    return Patch(POD, metadata["namespace"], metadata["name"], body, version=metadata.get("resourceVersion", ""))
