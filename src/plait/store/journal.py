"""The durable log of writes: SQLite in WAL mode, one row a revision.

A write survives kill -9 when `append` returns, and a loss of power after the next `sync`. Old rows of a key are
compacted away; `floor` is the revision below which history is unknown (a watch from there gets 410). The journal knows
bytes and names, not Kubernetes.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import orjson

from plait.store.state import Change, Record, State

_SCHEMA = """
CREATE TABLE IF NOT EXISTS change (
  revision INTEGER PRIMARY KEY, api_group TEXT NOT NULL, plural TEXT NOT NULL, namespace TEXT NOT NULL,
  name TEXT NOT NULL, deleted INTEGER NOT NULL, value BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS by_name ON change (api_group, plural, namespace, name, revision);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


class Journal:
    """Append-only file of changes. One process owns it; a second opener is refused by SQLite's exclusive lock."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        path.chmod(0o600)
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")  # SQLite syncs for checkpoints only; `sync` does the rest
        self._db.executescript(_SCHEMA)
        self._log = os.open(f"{path}-wal", os.O_RDONLY)
        directory = os.open(path.parent, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    @property
    def floor(self) -> int:
        """Changes at or below this revision may be missing."""
        return self._meta("floor")

    def _meta(self, key: str) -> int:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return int(row[0]) if row else 0

    def append(self, change: Change) -> None:
        """Written, not synced."""
        (group, plural), (namespace, name) = change.address, change.name
        value = orjson.dumps(change.record.document)
        row = (change.revision, group, plural, namespace, name, change.type == "DELETED", value)
        self._db.execute("INSERT INTO change VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def sync(self) -> None:
        """All that was appended before is durable when it returns. Any thread may call it."""
        os.fdatasync(self._log)

    def replay(self) -> Iterator[Change]:
        """Every kept change in revision order; applying them to an empty State rebuilds it."""
        last: dict[tuple[str, str, str, str], Record] = {}
        rows = self._db.execute("SELECT * FROM change ORDER BY revision")
        for revision, group, plural, namespace, name, deleted, value in rows:
            key = (group, plural, namespace, name)
            record = Record(orjson.loads(value), revision)
            previous = last.pop(key, None) if deleted else last.get(key)
            if not deleted:
                last[key] = record
            kind = "DELETED" if deleted else "MODIFIED" if previous else "ADDED"
            yield Change(kind, (group, plural), (namespace, name), record, previous)  # type: ignore[arg-type]

    def load(self) -> State:
        """The current objects. The highest revision ever given is never given again, whatever was compacted."""
        state = State()
        for change in self.replay():
            state.apply(change)
        state.revision = max(state.revision, self.floor)
        return state

    def compact(self, floor: int) -> int:
        """Drop superseded rows at or below `floor`; the number of rows dropped."""
        self._db.execute("BEGIN IMMEDIATE")
        dropped = self._db.execute(
            "DELETE FROM change AS old WHERE revision <= ? AND (deleted OR EXISTS (SELECT 1 FROM change AS newer "
            "WHERE newer.api_group = old.api_group AND newer.plural = old.plural "
            "AND newer.namespace = old.namespace AND newer.name = old.name AND newer.revision > old.revision))",
            (floor,),
        ).rowcount
        self._db.execute(
            "INSERT INTO meta VALUES ('floor', ?) ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)",
            (floor,),
        )
        self._db.execute("COMMIT")
        return dropped

    def close(self) -> None:
        self._db.close()
        os.close(self._log)
