"""The node's resolvers joined to its proxy: a captured pod is served when its listeners listen and its names resolve.

It stands between the capture driver and the proxy's configuration and is the driver's `Listeners`. Each form of capture
has its resolvers where its proxy listens: one inside every pod, or one for all in the proxy's namespace.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from plait.base import netns
from plait.base.dns_talk import Asked
from plait.base.wellknown import CLASSIC_LOCAL_MARK, DNS_CAPTURE, DNS_CAPTURE_PORT, PROXY_MARK
from plait.model.index import Index
from plait.model.views import names
from plait.node.driver import Listeners
from plait.node.forms import Target
from plait.node.rules import Family
from plait.node.translations import End, Translations, dialled
from plait.proxy.resolver import Meanings, Resolver
from plait.store.api import Document

_LOOPBACK: Final[dict[Family, str]] = {4: "127.0.0.1", 6: "::1"}
_SO_MARK: Final = 36
_TRANSPARENT: Final = {socket.AF_INET: (socket.SOL_IP, 19), socket.AF_INET6: (socket.IPPROTO_IPV6, 75)}

Lookup = Callable[[str], Meanings]
"""What names mean in a namespace."""


def captured(pod: Document, default: bool) -> bool:
    """Are the names of this pod the mesh's business? Its annotation decides, else the mesh's setting."""
    said = (pod["metadata"].get("annotations") or {}).get(DNS_CAPTURE, "").lower()
    return default if said not in ("true", "false") else said == "true"


class Resolvers(Protocol):
    """The resolvers of one node, as its form of capture needs them."""

    async def serve(self, target: Target) -> None: ...

    async def withdraw(self, target: Target) -> None: ...

    async def close(self) -> None: ...


class Naming:
    def __init__(self, listeners: Listeners, resolvers: Resolvers) -> None:
        self._listeners, self._resolvers = listeners, resolvers

    async def serve(self, target: Target) -> None:
        await self._listeners.serve(target)
        if target.dns:
            await self._resolvers.serve(target)

    async def withdraw(self, target: Target) -> None:
        await self._resolvers.withdraw(target)
        await self._listeners.withdraw(target)

    async def close(self) -> None:
        await self._resolvers.close()


def meanings(index: Callable[[], Index]) -> Lookup:
    """`index` gives the node's present copy of the mesh."""

    def of(namespace: str) -> Meanings:
        return lambda name: names.lookup(index(), namespace, name)

    return of


class InPods:
    """One resolver inside each pod's namespace."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._resolvers: dict[str, Resolver] = {}

    async def serve(self, target: Target) -> None:
        if target.uid not in self._resolvers:
            own = [_LOOPBACK[family] for family in target.families]
            clients = _Pod(target.netns, self._lookup(target.namespace))
            self._resolvers[target.uid] = await _started(Resolver(target.netns, own, clients))

    async def withdraw(self, target: Target) -> None:
        await self._end(target.uid)

    async def close(self) -> None:
        for uid in list(self._resolvers):
            await self._end(uid)

    async def _end(self, uid: str) -> None:
        if (known := self._resolvers.pop(uid, None)) is not None:
            await known.close()


class Shared:
    """One resolver beside the node's proxy: who asks is known by the address. It listens once a pod needs it."""

    def __init__(self, node: Path, proxy: Path, addresses: tuple[str, ...], lookup: Lookup) -> None:
        """Namespaces of the node, which redirects, and of its proxy, with the latter's addresses."""
        self._node, self._proxy, self._addresses, self._lookup = node, proxy, addresses, lookup
        self._pods: dict[str, str] = {}  # address -> namespace
        self._resolver: Resolver | None = None

    async def serve(self, target: Target) -> None:
        if self._resolver is None:
            clients = _Pods(self._node, self._proxy, self._addresses, self._meanings)
            self._resolver = await _started(Resolver(self._proxy, self._addresses, clients))
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


async def _started(resolver: Resolver) -> Resolver:
    try:
        await resolver.start()
    except BaseException:
        await resolver.close()
        raise
    return resolver


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
        return netns.call(self._space, _socket, server, tcp, PROXY_MARK)

    def close(self) -> None:
        self._translations.close()


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
        return netns.call(self._proxy, _socket, server, tcp, CLASSIC_LOCAL_MARK, client)

    def close(self) -> None:
        self._translations.close()


def _socket(server: End, tcp: bool, mark: int, source: str = "") -> socket.socket:
    """In the calling thread's namespace; with `source`, from that address though it is not here."""
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)
        if source:
            made.setsockopt(*_TRANSPARENT[family], 1)
            made.bind((source, 0))
    except BaseException:
        made.close()
        raise
    return made
