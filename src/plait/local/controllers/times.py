"""Kubernetes' timestamps: seconds since the epoch to RFC 3339 and back. It reads no clock."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(now: float) -> str:
    """metav1.Time: whole seconds."""
    return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_stamp(now: float) -> str:
    """metav1.MicroTime, as leases and events have it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(text: object, missing: float = 0.0) -> float:
    """A timestamp as seconds since the epoch; `missing` where it is absent or unreadable."""
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return missing
