"""Kept: the changes that are under way, on disk, so that a control plane that was killed goes on where it stood.

Besides the stages it has who is reached and which guards stood: without it, one that clients were not told of would
stand at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from plait.app.telling.order import Change
from plait.app.telling.told import reached
from plait.base.observe import logger
from plait.model.guard import guarding
from plait.model.mesh import Mesh, Workload
from plait.model.policies import Policy

_log = logger("telling")


class _Content(msgspec.Struct):
    changes: dict[str, Change]
    workloads: dict[str, Workload]
    policies: dict[str, Policy]


class Kept:
    """One file. Without one nothing is kept."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._changes: Mapping[str, Change] = {}

    def load(self) -> tuple[Mapping[str, Change], Mesh]:
        """Changes, and of what was told then the part that they need. Nothing where nothing can be read."""
        if self._file is None or not self._file.exists():
            return {}, Mesh()
        try:
            found = msgspec.json.decode(self._file.read_bytes(), type=_Content)
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("changes that were under way cannot be read; they are told at once", error=error)
            return {}, Mesh()
        self._changes = found.changes
        return found.changes, Mesh(workloads=found.workloads, policies=found.policies)

    def save(self, changes: Mapping[str, Change], told: Mesh) -> None:
        """When other changes are under way than before."""
        if self._file is None or changes == self._changes:
            return
        self._changes = changes
        workloads = {uid: told.workloads[uid] for uid in sorted(reached(told, changes))}
        content = _Content(dict(changes), workloads, dict(_guards(told, workloads)))
        try:
            if not changes:
                self._file.unlink(missing_ok=True)
                return
            new = self._file.with_suffix(".new")
            new.write_bytes(msgspec.json.encode(content))
            new.replace(self._file)
        except OSError as error:  # what is told now does not depend on it
            _log.warning("changes that are under way cannot be kept", file=self._file, error=error)


def _guards(told: Mesh, workloads: Mapping[str, Workload]) -> Iterator[tuple[str, Policy]]:
    for each in workloads.values():
        for name in guarding(each.policies):
            if name in told.policies:
                yield name, told.policies[name]
