"""What a node agent last heard from the control plane, on disk: a restarted agent works without it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from plait.base.bundle import Resource
from plait.base.observe import logger
from plait.base.revision import Revision

_log = logger("agent")
_Kept = tuple[str, list[tuple[str, str, bytes]]]


class Snapshot:
    """Resources by type and name. `apply` deltas, `save` now and then; the first delta after a start is complete.

    Each type has a file of its own in the folder: a changed route does not write megabytes of listeners again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.types: dict[str, Revision[str, Resource]] = {}
        self._stale: set[str] = set()
        self._unsaved: set[str] = set()

    @property
    def dirty(self) -> bool:
        return bool(self._unsaved)

    def load(self) -> None:
        """Read the files; a missing or damaged one means an empty start of that type."""
        for file in sorted(self._folder.glob("*.bin")):
            try:
                url, rows = msgspec.msgpack.decode(file.read_bytes(), type=_Kept)
            except (OSError, msgspec.DecodeError) as error:
                _log.warning("snapshot cannot be read, starting without", file=file, error=error)
                continue
            self.types[url] = Revision((name, Resource(name, version, value)) for name, version, value in rows)
        self._stale = set(self.types)

    def apply(self, url: str, resources: Iterable[Resource], removed: Iterable[str]) -> tuple[str, ...]:
        """Keep a delta; returns the names that are gone, with those the file had and the server no longer has.

        The type's mapping is another one if anything in it is, and those of the other types are the same.
        """
        known = self.types.get(url, Revision())
        fresh = {resource.name: resource for resource in resources}
        gone = set(removed)
        if url in self._stale:
            self._stale.discard(url)
            gone |= known.keys() - fresh.keys()
        self.types[url] = known.revised(fresh, gone)
        self._unsaved.add(url)
        return tuple(sorted(gone))

    def save(self) -> None:
        """Write the types that have changed since."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for url in sorted(self._unsaved):
            rows = [(resource.name, resource.version, resource.value) for resource in self.types[url].values()]
            file = self._folder / f"{url.rpartition('/')[2]}.bin"
            new = file.with_suffix(".new")
            new.write_bytes(msgspec.msgpack.encode((url, rows)))
            new.replace(file)
        self._unsaved.clear()
