"""Why the proxies of a Gateway are not as it wants them: remembered for its status, and said once as an event."""

from __future__ import annotations

from typing import Final

from plait.app.applying import MANAGER
from plait.base import aio
from plait.base.observe import logger
from plait.local.controllers.events import event_document
from plait.local.controllers.writes import Emit
from plait.resources import kinds
from plait.store.api import Api, ApiError, Document
from plait.store.informer import Key

NO_ROOM: Final = "NoResources"
"""The reason, in the Gateway API's words, when a quota is used up."""
NOTHING: Final = ("", "")
_log = logger("gateways")


class Failures:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._told: dict[Key, tuple[str, str]] = {}

    def of(self, key: Key) -> tuple[str, str]:
        """Reason and sentence; `NOTHING` when all is as wanted."""
        return self._told.get(key, NOTHING)

    def without_room(self) -> list[Key]:
        """Who may find room when there is some."""
        return [key for key, (reason, _) in self._told.items() if reason == NO_ROOM]

    def forget(self, key: Key) -> None:
        self._told.pop(key, None)

    async def tell(self, key: Key, gateway: Document, failure: str, reason: str = "Invalid") -> None:
        """Remember why the proxies are not as wanted, and say it once as an event."""
        before = self._told.pop(key, NOTHING)
        if not failure:
            return
        self._told[key] = reason, failure
        if failure == before[1]:
            return
        emit = Emit(gateway, "GatewayNotDeployed", failure, MANAGER, "Warning")
        try:
            await self._api.create(kinds.EVENT, event_document(emit, aio.now()), key[0])
        except ApiError as error:  # a courtesy, and told before when it is there
            _log.debug("event not recorded", gateway="/".join(key), error=error)
