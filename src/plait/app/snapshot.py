"""What a node agent last heard from the control plane, on disk: a restarted agent works without it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from plait.base.bundle import Resource
from plait.base.observe import logger

_log = logger("agent")
_Kept = dict[str, list[tuple[str, str, bytes]]]


class Snapshot:
    """Resources by type and name. `apply` deltas, `save` now and then; the first delta after a start is complete."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.types: dict[str, dict[str, Resource]] = {}
        self._stale: set[str] = set()
        self.dirty = False

    def load(self) -> None:
        """Read the file; a missing or damaged one means an empty start."""
        try:
            kept = msgspec.msgpack.decode(self._file.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("snapshot cannot be read, starting without", file=self._file, error=error)
            return
        self.types = {url: {name: Resource(name, v, value) for name, v, value in rows} for url, rows in kept.items()}
        self._stale = set(self.types)

    def apply(self, url: str, resources: Iterable[Resource], removed: Iterable[str]) -> tuple[str, ...]:
        """Keep a delta; returns the names that are gone, with those the file had and the server no longer has.

        The type's mapping is another one afterwards, and those of the other types are the same.
        """
        known = self.types[url] = dict(self.types.get(url, {}))
        fresh = {resource.name: resource for resource in resources}
        gone = set(removed)
        if url in self._stale:
            self._stale.discard(url)
            gone |= known.keys() - fresh.keys()
        for name in gone:
            known.pop(name, None)
        known.update(fresh)
        self.dirty = True
        return tuple(sorted(gone))

    def save(self) -> None:
        rows: _Kept = {
            url: [(resource.name, resource.version, resource.value) for resource in named.values()]
            for url, named in self.types.items()
        }
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_bytes(msgspec.msgpack.encode(rows))
        new.replace(self._file)
        self.dirty = False
