"""Capture by the node: one resolver beside the node's proxy, asked by all pods from their own addresses."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from plait.app.naming import Lookup, asking_socket, started
from plait.base import netns
from plait.base.dns_talk import Asked
from plait.base.wellknown import CLASSIC_LOCAL_MARK, DNS_CAPTURE_PORT
from plait.node.forms import Target
from plait.node.translations import End, Translations
from plait.proxy.resolver import Meanings, Resolver


class Shared:
    """The `Resolvers` of this form: who asks is known by the address. It listens once a pod needs it."""

    def __init__(self, node: Path, proxy: Path, addresses: tuple[str, ...], lookup: Lookup) -> None:
        """Namespaces of the node, which redirects, and of its proxy, with the latter's addresses."""
        self._node, self._proxy, self._addresses, self._lookup = node, proxy, addresses, lookup
        self._pods: dict[str, str] = {}  # address -> namespace
        self._resolver: Resolver | None = None

    async def serve(self, target: Target) -> None:
        if self._resolver is None:
            clients = _Pods(self._node, self._proxy, self._addresses, self._meanings)
            self._resolver = await started(Resolver(self._proxy, self._addresses, clients))
        self._pods |= dict.fromkeys(target.addresses, target.namespace)

    async def withdraw(self, target: Target) -> None:
        for address in target.addresses:
            self._pods.pop(address, None)

    async def close(self) -> None:
        if self._resolver is not None:
            await self._resolver.close()
            self._resolver = None

    def _meanings(self, client: str) -> Meanings | None:
        return None if (namespace := self._pods.get(client)) is None else self._lookup(namespace)


class _Pods:
    """All pods of a node, asking from their own addresses."""

    def __init__(
        self, node: Path, proxy: Path, own: tuple[str, ...], meanings: Callable[[str], Meanings | None]
    ) -> None:
        self._proxy, self._own, self.meanings = proxy, own, meanings
        self._translations = Translations(node)

    def origin(self, asked: Asked) -> End | None:
        own = next(address for address in self._own if (":" in address) == (":" in asked.client[0]))
        protocol = socket.IPPROTO_TCP if asked.tcp else socket.IPPROTO_UDP
        return self._translations.original(asked.client, (own, DNS_CAPTURE_PORT), protocol)

    def asking(self, client: str, server: End, *, tcp: bool) -> socket.socket:
        """As the proxy's own connections in a pod's name: the ten steps bring the answer back to this namespace."""
        return netns.call(self._proxy, asking_socket, server, tcp, CLASSIC_LOCAL_MARK, client)

    def close(self) -> None:
        self._translations.close()
