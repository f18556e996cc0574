"""In-pod capture: one resolver inside each pod's namespace, asked by the pod's processes over loopback."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

from plait.app.naming import Lookup, asking_socket, started
from plait.base import netns
from plait.base.dns_talk import Asked
from plait.base.wellknown import DNS_CAPTURE_PORT, PROXY_MARK
from plait.node.forms import Target
from plait.node.rules import Family
from plait.node.translations import End, Translations, dialled
from plait.proxy.resolver import Meanings, Resolver

_LOOPBACK: Final[dict[Family, str]] = {4: "127.0.0.1", 6: "::1"}


class InPods:
    """The `Resolvers` of this form."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._resolvers: dict[str, Resolver] = {}

    async def serve(self, target: Target) -> None:
        if target.uid not in self._resolvers:
            own = [_LOOPBACK[family] for family in target.families]
            clients = _Pod(target.netns, self._lookup(target.namespace))
            self._resolvers[target.uid] = await started(Resolver(target.netns, own, clients))

    async def withdraw(self, target: Target) -> None:
        await self._end(target.uid)

    async def close(self) -> None:
        for uid in list(self._resolvers):
            await self._end(uid)

    async def _end(self, uid: str) -> None:
        if (known := self._resolvers.pop(uid, None)) is not None:
            await known.close()


class _Pod:
    """The processes of one pod, asking over its loopback."""

    def __init__(self, space: Path, meanings: Meanings) -> None:
        self._space, self._meanings = space, meanings
        self._translations = Translations(space)

    def meanings(self, client: str) -> Meanings:
        return self._meanings

    def origin(self, asked: Asked) -> End | None:
        if asked.connection is not None:
            return dialled(asked.connection)
        own = _LOOPBACK[6 if ":" in asked.client[0] else 4]
        return self._translations.original(asked.client, (own, DNS_CAPTURE_PORT))

    def asking(self, client: str, server: End, *, tcp: bool) -> socket.socket:
        return netns.call(self._space, asking_socket, server, tcp, PROXY_MARK)

    def close(self) -> None:
        self._translations.close()
