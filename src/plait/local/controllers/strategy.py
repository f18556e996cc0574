"""How many pods a rollout may have too many or too few: a Deployment's numbers, read once for everybody. Pure."""

from __future__ import annotations

from plait.store.api import Document


def replicas(document: Document) -> int:
    return int(document["spec"].get("replicas", 1))


def available(replica_set: Document) -> int:
    return int((replica_set.get("status") or {}).get("availableReplicas", 0))


def limits(deployment: Document) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) in pods; both zero would be a standstill, so one may then be unavailable."""
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    surge = portion(rolling.get("maxSurge", "25%"), replicas(deployment), up=True)
    down = portion(rolling.get("maxUnavailable", "25%"), replicas(deployment), up=False)
    return (surge, down) if surge or down else (0, 1)


def portion(value: int | str, of: int, *, up: bool) -> int:
    """An IntOrString: pods, or percent of `of` rounded up or down."""
    if isinstance(value, int):
        return value
    text = value.removesuffix("%")
    if not text.isdecimal():
        return 0
    if not value.endswith("%"):
        return int(text)
    return -(-of * int(text) // 100) if up else of * int(text) // 100
