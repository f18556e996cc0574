"""The server of the demos: it answers with its version and counts what it saw."""

from __future__ import annotations

from typing import Any


def container(version: str, port: int) -> dict[str, Any]:
    """`port` is where it listens; its pod is ready once it does."""
    return {
        "name": "app",
        "image": "plait/witness",
        "env": [{"name": "VERSION", "value": version}],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
    }
