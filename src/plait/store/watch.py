"""Watch windows: the last changes of each kind, and the watchers that follow them.

Answers what a watcher sees: events after a revision, objects entering or leaving its selector, 410 when history is
gone, an end when it reads too slowly (clients list again). Encoding and HTTP are `http`'s.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from plait.store import errors
from plait.store.api import Document
from plait.store.state import Address, Change, ChangeType, Record

Match = Callable[[Document], bool]
Seen = tuple[ChangeType, Record]
WINDOW = 4096  # changes kept a kind
BACKLOG = 10_000  # events a watcher may be behind


def seen(change: Change, match: Match) -> Seen | None:
    """A change through a selector: entering is ADDED, leaving is DELETED with the last matching content."""
    before = change.previous is not None and match(change.previous.document)
    after = change.type != "DELETED" and match(change.record.document)
    if after:
        return ("MODIFIED" if before else "ADDED"), change.record
    if not before or change.previous is None:
        return None
    if change.type == "DELETED":
        return "DELETED", change.record
    last = change.previous.document
    meta = {**last["metadata"], "resourceVersion": str(change.revision)}
    return "DELETED", Record({**last, "metadata": meta}, change.revision)


class Watcher:
    """One follower of one kind. `take` waits for events; None means the server closed it."""

    def __init__(self, match: Match, ready: list[Seen]) -> None:
        self._match = match
        self._events: deque[Seen] = deque(ready)
        self._wake = asyncio.Event()
        self.closed = False

    def offer(self, change: Change) -> None:
        event = seen(change, self._match)
        if event is None or self.closed:
            return
        if len(self._events) >= BACKLOG:
            self.close()
            return
        self._events.append(event)
        self._wake.set()

    @property
    def pending(self) -> bool:
        return bool(self._events)

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def take(self, timeout: float | None = None) -> list[Seen] | None:
        """All events at hand, after waiting for at least one; empty after `timeout` seconds without any.

        Empty means that none is at hand in this very moment, not when the time ran out: a bookmark may follow.
        """
        if not self._events and not self.closed:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
        if not self._events and self.closed:
            return None
        taken = list(self._events)
        self._events.clear()
        return taken


class Window:
    """The kept changes of one kind and its watchers."""

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self.changes: deque[Change] = deque()
        self.watchers: set[Watcher] = set()

    def add(self, change: Change) -> None:
        if len(self.changes) >= WINDOW:
            self.floor = self.changes.popleft().revision
        self.changes.append(change)
        for watcher in tuple(self.watchers):
            watcher.offer(change)

    def after(self, revision: int) -> list[Change]:
        if revision < self.floor:
            raise errors.expired(revision, self.floor)
        kept = list(self.changes)
        return kept[bisect_right(kept, revision, key=lambda c: c.revision) :]


class Watches:
    """All windows. `publish` is called once a change, in revision order, after it is written."""

    def __init__(self, floor: int = 0) -> None:
        self._floor = floor
        self._windows: dict[Address, Window] = {}

    def _window(self, address: Address) -> Window:
        found = self._windows.get(address)
        if found is None:
            found = self._windows[address] = Window(self._floor)
        return found

    def publish(self, change: Change) -> None:
        self._window(change.address).add(change)

    def forget(self, floor: int) -> None:
        """Drop history at or below `floor` (the journal was compacted there)."""
        self._floor = max(self._floor, floor)
        for window in self._windows.values():
            window.floor = max(window.floor, floor)
            while window.changes and window.changes[0].revision <= floor:
                window.changes.popleft()

    def open(self, address: Address, match: Match, *, after: int, first: list[Record] | None = None) -> Watcher:
        """Follow a kind after a revision; `first` are present objects to show as ADDED instead of history."""
        window = self._window(address)
        if first is not None:
            ready: list[Seen] = [("ADDED", record) for record in first]
        else:
            ready = [event for change in window.after(after) if (event := seen(change, match)) is not None]
        watcher = Watcher(match, ready)
        window.watchers.add(watcher)
        return watcher

    def close(self, address: Address, watcher: Watcher) -> None:
        self._window(address).watchers.discard(watcher)

    def close_all(self, address: Address | None = None) -> None:
        """End every watcher (shutdown), or those of a kind that is no longer served."""
        for key, window in self._windows.items():
            if address in (None, key):
                for watcher in tuple(window.watchers):
                    watcher.close()
