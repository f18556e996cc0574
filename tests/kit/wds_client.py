"""What a ztunnel says on its discovery stream and what it hears, by field number alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import grpc

from kit.fieldwire import each, inner, read, text, write

ADDRESS = "type.googleapis.com/istio.workload.Address"
AUTHORIZATION = "type.googleapis.com/istio.security.Authorization"
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


def hello(type_url: str, *, on_demand: bool = False, held: Mapping[str, str] | None = None, node: bool = True) -> bytes:
    """The first request of a type: node (1), type (2), subscribe (3), unsubscribe (4), versions (5)."""
    ident = "ztunnel~10.0.0.1~ztunnel-x.istio-system~istio-system.svc.cluster.local"
    metadata = write((1, write((1, "NODE_NAME"), (2, write((3, "n1"))))))
    fields: list[tuple[int, bytes | str | int]] = [(1, write((1, ident), (3, metadata)))] if node else []
    fields.append((2, type_url))
    if on_demand:
        fields += [(3, "*"), (4, "*")]
    fields += [(5, write((1, name), (2, version))) for name, version in (held or {}).items()]
    return write(*fields)


def subscribe(type_url: str, *names: str) -> bytes:
    return write((2, type_url), *((3, name) for name in names))


@dataclass(frozen=True)
class Heard:
    """One response: type (4), nonce (5), resources (2) by name with version, bytes and aliases; removed names (6)."""

    type_url: str
    nonce: str
    resources: dict[str, bytes]
    versions: dict[str, str]
    aliases: dict[str, list[str]]
    removed: list[str]


def parse(data: bytes) -> Heard:
    fields = read(data)
    resources, versions, aliases = {}, {}, {}
    for entry in map(read, each(fields, 2)):
        name = text(entry, 3)
        held = inner(entry, 2)
        assert text(held, 1) == text(fields, 4), "the Any's type is the response's"
        resources[name] = each(held, 2)[0] if 2 in held else b""
        versions[name] = text(entry, 1)
        aliases[name] = [alias.decode() for alias in each(entry, 4)]
    removed = [name.decode() for name in each(fields, 6)]
    return Heard(text(fields, 4), text(fields, 5), resources, versions, aliases, removed)


class Stream:
    """`say` bytes, `hear` responses; each is acknowledged as a ztunnel does unless `refuse` is given."""

    def __init__(self, channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        self._call = channel.stream_stream(METHOD)(metadata=metadata)

    async def say(self, data: bytes) -> None:
        await self._call.write(data)

    async def hear(self, refuse: str = "", seconds: float = 10.0) -> Heard:
        data = await asyncio.wait_for(self._call.read(), seconds)
        assert data is not grpc.aio.EOF, "the stream ended"
        heard = parse(data)
        answer: list[tuple[int, bytes | str | int]] = [(2, heard.type_url), (6, heard.nonce)]
        if refuse:
            answer.append((7, write((2, refuse))))
        await self._call.write(write(*answer))
        return heard
