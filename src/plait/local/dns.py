"""The resolver of one node: sockets around `zone.Zone`, UDP and TCP; what is not the mesh's goes to the host's own."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from plait.base import aio, dns_talk
from plait.base import dns_wire as wire
from plait.base.dns_talk import Asked
from plait.base.observe import logger
from plait.local.addresses import AddressPlan
from plait.local.services import SLICE_SERVICE
from plait.local.zone import Zone
from plait.resources.kinds import ENDPOINT_SLICE, SERVICE, SERVICE_ENTRY
from plait.store.api import Api, Document
from plait.store.informer import Informer

_PATIENCE = 2.0  # seconds for one upstream
_SETTLE = 0.02
_REST = 9  # times what making a zone took: a tenth of the time at most
_IDENTITY = ("namespace", "name", "uid", "resourceVersion")
_SPEC = ("type", "externalName", "clusterIP", "clusterIPs", "publishNotReadyAddresses", "hosts", "addresses")
_ENDPOINT = ("addresses", "hostname", "conditions")
_log = logger("dns")


def upstreams(resolv_conf: Path = Path("/etc/resolv.conf")) -> tuple[str, ...]:
    """The host's resolvers; empty where there are none."""
    try:
        lines = resolv_conf.read_text().splitlines()
    except OSError:
        return ()
    words = [line.split() for line in lines]
    return tuple(w[1] for w in words if len(w) > 1 and w[0] == "nameserver" and "%" not in w[1])


class Resolver:
    """Answers from `zone`, which may be replaced at any time."""

    def __init__(self, zone: Zone, forward: Sequence[str] = ()) -> None:
        self.zone = zone
        self._forward = tuple(forward)

    async def resolve(self, asked: Asked) -> bytes:
        """The reply; b"" for none."""
        reply = self.zone.answer(asked.message, tcp=asked.tcp)
        if reply is not None:
            return reply
        ask, kind = (dns_talk.ask_tcp, socket.SOCK_STREAM) if asked.tcp else (dns_talk.ask_udp, socket.SOCK_DGRAM)
        for upstream in self._forward:
            family = socket.AF_INET6 if ":" in upstream else socket.AF_INET
            try:
                async with asyncio.timeout(_PATIENCE):
                    return await ask(socket.socket(family, kind), (upstream, 53), asked.message)
            except (OSError, TimeoutError, EOFError) as error:
                _log.debug("upstream failed", upstream=upstream, error=repr(error))
        return wire.refusal(asked.message, wire.SERVER_FAILURE) or b""

    async def serve(self, address: str, port: int = 53) -> None:
        """Listen in the current network namespace until cancelled."""
        server = dns_talk.Server(self.resolve, *dns_talk.sockets(address, port))
        try:
            await server.start()
            await asyncio.Event().wait()
        finally:
            await server.close()


async def run(api: Api, plan: AddressPlan, *addresses: str, forward: Sequence[str] = (), port: int = 53) -> None:
    """Follow the API and serve on these addresses of the current network namespace until cancelled."""
    informers = [Informer(api, kind, keep=read) for kind in (SERVICE, ENDPOINT_SLICE, SERVICE_ENTRY)]
    changed = asyncio.Event()

    def matters(old: Document | None, new: Document | None) -> None:
        if means(old) != means(new):
            changed.set()

    for informer in informers:
        informer.on_change(matters)
    resolver = Resolver(Zone(networks=plan.each(plan.network)), forward)
    tasks = [aio.spawn(informer.run(), f"informer {informer.kind}") for informer in informers]
    tasks += [aio.spawn(resolver.serve(address, port), f"dns sockets {address}") for address in addresses]
    tasks.append(aio.spawn(_follow(informers, changed, resolver, plan), "dns zone"))
    try:
        await asyncio.gather(*tasks)
    finally:
        await aio.cancel(*tasks)


async def _follow(informers: Sequence[Informer], changed: asyncio.Event, resolver: Resolver, plan: AddressPlan) -> None:
    while True:
        changed.clear()
        began = time.perf_counter()
        resolver.zone = Zone(*(informer.cache.values() for informer in informers), networks=plan.each(plan.network))
        took = time.perf_counter() - began
        await changed.wait()
        # The zone is made anew as a whole: in a large mesh that must not keep the node's agent from its other work.
        await asyncio.sleep(max(_SETTLE, _REST * took))


def read(document: Document) -> Document:
    """What of an object the zone reads, which is all that a node keeps of it: a mesh has many that nobody asks for."""
    metadata = document["metadata"]
    kept: Document = {"metadata": {name: metadata[name] for name in _IDENTITY if name in metadata}}
    if (service := (metadata.get("labels") or {}).get(SLICE_SERVICE)) is not None:
        kept["metadata"]["labels"] = {SLICE_SERVICE: service}
    spec = document.get("spec") or {}
    names = (*_SPEC, "ports") if "clusterIP" in spec else _SPEC
    if found := {name: spec[name] for name in names if name in spec}:
        kept["spec"] = found
    if ports := document.get("ports"):
        kept["ports"] = ports
    if endpoints := document.get("endpoints"):
        kept["endpoints"] = [{name: each[name] for name in _ENDPOINT if name in each} for each in endpoints]
    return kept


def means(document: Document | None) -> Document:
    """What names depend on. Statuses are written often, for every object, and say nothing about names."""
    if document is None:
        return {}
    kept = read(document)
    return {**kept, "metadata": kept["metadata"].get("labels")}
