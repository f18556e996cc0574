"""Writes addresses into the status of ServiceEntries that state none (`model.autoallocation` says which)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from plait.base.observe import logger
from plait.model import autoallocation
from plait.model.autoallocation import Given, Key, Network
from plait.resources import kinds
from plait.resources.decode import decode
from plait.resources.networking.service_entry import ServiceEntry
from plait.store.api import Api, ApiError
from plait.store.informer import Informer

_SETTLE: Final = 0.01
_AGAIN: Final = 2.0  # seconds until what could not be written is tried once more
_log = logger("allocation")


class AllocationController:
    """`entries` is somebody else's informer, which runs already; `networks` what addresses are given of."""

    def __init__(self, api: Api, entries: Informer, networks: Sequence[Network] = (autoallocation.RANGE,)) -> None:
        self._api, self._entries, self._networks = api, entries, networks
        self._changed = asyncio.Event()
        entries.on_change(lambda old, new: self._changed.set())

    async def run(self) -> None:
        """Until cancelled. Begins when every entry has been read: an address given twice would be a wrong one."""
        await self._entries.synced.wait()
        while True:
            self._changed.clear()
            if await self._once():
                await self._changed.wait()
                await asyncio.sleep(_SETTLE)
            else:
                await asyncio.sleep(_AGAIN)

    async def _once(self) -> bool:
        try:
            wanted = autoallocation.changes(self._read(), self._networks)
        except autoallocation.Exhausted as error:
            _log.error("no addresses left", reason=str(error))
            return True
        written = [await self._write(key, given) for key, given in wanted.items()]
        return all(written)

    def _read(self) -> list[ServiceEntry]:
        typed = (decode(document)[0] for document in self._entries.cache.values())
        return [each for each in typed if isinstance(each, ServiceEntry)]

    async def _write(self, key: Key, given: Given) -> bool:
        namespace, name = key
        rows = [{"value": each.value, "host": each.host} for each in given]
        try:
            patch = {"status": {"addresses": rows or None}}
            await self._api.patch(kinds.SERVICE_ENTRY, name, patch, namespace, subresource="status")
        except (ApiError, ConnectionError) as error:
            if isinstance(error, ApiError) and error.reason == "NotFound":
                return True
            _log.warning("addresses not written", entry=f"{namespace}/{name}", error=str(error))
            return False
        _log.info("addresses given", entry=f"{namespace}/{name}", addresses=[row["value"] for row in rows])
        return True
