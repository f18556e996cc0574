"""What is on disk of a container's runs: a folder an attempt, its log files; old ones are pruned."""

from __future__ import annotations

import shutil
from pathlib import Path

from plait.local.pod import spec as podspec

KEPT = 2


def of(pod: Path, container: str) -> list[int]:
    """Numbers of the attempts whose folders exist, in no order."""
    directory = pod / "c" / container
    return [int(p.name) for p in directory.iterdir() if p.name.isdecimal()] if directory.is_dir() else []


def prune(pod: Path, container: str, attempt: int) -> None:
    """Delete folders and logs of all attempts but the last two up to `attempt`."""
    for old in of(pod, container):
        if old <= attempt - KEPT:
            shutil.rmtree(podspec.container_directory(pod, container, old), ignore_errors=True)
            for file in (pod / "logs" / container).glob(f"{old}.log*"):
                file.unlink(missing_ok=True)
