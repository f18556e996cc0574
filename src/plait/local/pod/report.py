"""The status of one pod as the API server has it: sent when it differs, conditions of others kept."""

from __future__ import annotations

from typing import Literal

from plait.base import aio
from plait.base.observe import logger
from plait.local.pod import status as podstatus
from plait.local.pod.lifecycle import Lifecycle
from plait.resources.kinds import POD
from plait.store.api import Api, ApiError, Document

Outcome = Literal["sent", "retry", "gone"]
_log = logger("kubelet")


class Report:
    def __init__(self, pod: Document, api: Api, node_addresses: tuple[str, ...]) -> None:
        self._api, self._node_addresses = api, node_addresses
        self.status: Document = pod.get("status") or {}
        self._sent = self.status
        self.since = podstatus.seconds(start) if (start := self.status.get("startTime")) else aio.now()
        """When this node accepted the pod."""

    async def send(self, pod: Document, lifecycle: Lifecycle, addresses: tuple[str, ...], now: float) -> Outcome:
        """Write it where it differs. "gone": the API server has no such pod any more."""
        self.status = self._composed(pod, lifecycle, addresses, now)
        if self.status == self._sent:
            return "sent"
        metadata = pod["metadata"]
        body = {"metadata": {"uid": metadata["uid"]}, "status": self.status}
        try:
            await self._api.patch(POD, metadata["name"], body, metadata["namespace"], subresource="status")
        except ApiError as error:
            if error.code in (404, 409):
                return await self._refused(metadata)
            _log.warning("status refused", pod=f"{metadata['namespace']}/{metadata['name']}", error=error)
            return "retry"
        except OSError as error:
            _log.debug("status not sent", pod=f"{metadata['namespace']}/{metadata['name']}", error=repr(error))
            return "retry"
        self._sent = self.status
        return "sent"

    def _composed(self, pod: Document, lifecycle: Lifecycle, addresses: tuple[str, ...], now: float) -> Document:
        present = pod.get("status") or {}
        known = {c["type"]: c for c in present.get("conditions") or ()}
        known.update({c["type"]: c for c in self.status.get("conditions") or () if c["type"] in podstatus.OURS})
        document = {**pod, "status": {**present, "conditions": list(known.values())}}
        place = podstatus.Place(self._node_addresses, addresses, self.since)
        return podstatus.compose(lifecycle, document, place, now)

    async def _refused(self, metadata: Document) -> Outcome:
        """Is the pod gone, or another one of its name there?"""
        try:
            found = await self._api.get(POD, metadata["name"], metadata["namespace"])
        except (ApiError, OSError) as error:
            return "gone" if isinstance(error, ApiError) and error.code == 404 else "retry"
        return "retry" if found["metadata"]["uid"] == metadata["uid"] else "gone"
