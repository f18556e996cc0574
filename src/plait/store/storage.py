"""One write, in the only right order: journal, then state, then watchers; a write itself never waits.

Who acknowledges it waits until it is `durable`. Watchers hear before: whoever a loss of power would leave with a write
that the disk has lost, runs on this machine and is lost with it.
"""

from __future__ import annotations

from pathlib import Path

from plait.store.api import Document
from plait.store.journal import Journal
from plait.store.state import Address, Change, Name, State
from plait.store.syncing import Syncing
from plait.store.watch import Watches

KEEP = 20_000  # revisions of history kept through a compaction


class Storage:
    """Journal, current state and watch windows of one API server."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self.state = State()
        self.watches = Watches(self._journal.floor)
        for change in self._journal.replay():
            self.state.apply(change)
            if change.revision > self._journal.floor:
                self.watches.publish(change)
        self.state.revision = max(self.state.revision, self._journal.floor)
        self._compacted = self.state.revision
        self._syncing = Syncing(self._journal.sync)

    async def durable(self) -> None:
        """Returns when all that was written before survives a loss of power."""
        await self._syncing.done()

    def put(self, address: Address, document: Document) -> Change:
        return self._commit(self.state.put(address, document))

    def remove(self, address: Address, name: Name, last: Document | None = None) -> Change:
        return self._commit(self.state.remove(address, name, last))

    def _commit(self, change: Change) -> Change:
        self._journal.append(change)
        self._syncing.wrote()
        self.state.apply(change)
        self.watches.publish(change)
        if change.revision - self._compacted >= KEEP:
            self.compact(change.revision - KEEP // 2)
        return change

    def compact(self, floor: int) -> None:
        """Forget history at or below `floor`: older watches get 410 from now on."""
        self._compacted = self.state.revision
        self._journal.compact(floor)
        self.watches.forget(floor)

    def close(self) -> None:
        self.watches.close_all()
        self._journal.close()
