"""The node's resolvers joined to its proxy: a captured pod is served when its listeners listen and its names resolve.

It stands between the capture driver and the proxy's configuration and is the driver's `Listeners`. Each form of capture
has its resolvers where its proxy listens: `pod_resolvers` inside every pod, `shared_resolver` in the proxy's namespace.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final, Protocol

from plait.base.wellknown import DNS_CAPTURE
from plait.model.index import Index
from plait.model.views import names
from plait.node.driver import Listeners
from plait.node.forms import Target
from plait.node.translations import End
from plait.proxy.resolver import Meanings, Resolver
from plait.store.api import Document

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


async def started(resolver: Resolver) -> Resolver:
    """It listens, or nothing of it is left."""
    try:
        await resolver.start()
    except BaseException:
        await resolver.close()
        raise
    return resolver


def asking_socket(server: End, tcp: bool, mark: int, source: str = "") -> socket.socket:
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
