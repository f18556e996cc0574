"""`plait bench lazy`: what a large mesh costs a node that uses little of it, and how long a first connection takes.

The many are ServiceEntries, each with an endpoint of its own that nobody ever calls. Beside them are Services with the
server of the pair behind them: the busy ones are called before memory is read, the cold ones once and once again.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from plait.base import wellknown
from plait.resources.kinds import SERVICE, SERVICE_ENTRY
from plait.store.api import Document
from plait.trial import talk, usage
from plait.trial.losses import agent
from plait.trial.scene import Pod, Scene, until

_SPACE, _NODE = "bench-l4", "node-1"
_FIRST = 208 << 8  # addresses of the mesh's range that nobody else is given: x.x.208.0 and up
_NOWHERE = int(IPv4Address("198.18.0.0"))
_AT_ONCE = 16
_SETTLE = 5.0


@dataclass(frozen=True, slots=True)
class Wanted:
    services: int = 5000
    busy: int = 20
    cold: int = 40


async def run(scene: Scene, samples: Path, wanted: Wanted, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Rows of what was measured."""
    await scene.apply(samples / "bench" / "pair.yaml")
    await scene.wait_ready([_SPACE])
    await until(partial(_captured, scene), 20.0)
    client = await scene.pod(_SPACE, "client")
    busy = await _served_by_pair(scene, "busy", wanted.busy)
    for address in busy:
        await until(partial(_served, scene, client, address), 30.0, 0.1)
    await asyncio.sleep(_SETTLE)
    before = _used(scene)
    tell(f"creating {wanted.services} services")
    await _many(scene, wanted.services)
    cold = await _served_by_pair(scene, "cold", wanted.cold)
    (last,) = await _served_by_pair(scene, "last", 1)
    tell("waiting until the node has heard of the last one")
    await until(partial(_served, scene, client, last), 600.0, 1.0)
    await asyncio.sleep(_SETTLE)
    for address in busy:
        await until(partial(_served, scene, client, address), 30.0, 0.1)
    after = _used(scene)
    tell("first connections")
    first, second = await scene.inside(client, lambda _: _twice(cold))
    return [
        _memory("before: Envoy", before[0]),
        _memory("before: agent and kubelet", before[1]),
        _memory(f"with {wanted.services} services: Envoy", after[0]),
        _memory(f"with {wanted.services} services: agent and kubelet", after[1]),
        _cost(wanted.services, before, after),
        _spread("first request to a cold destination, ms", first),
        _spread("the next, on a connection of its own, ms", second),
    ]


async def _served_by_pair(scene: Scene, name: str, count: int) -> list[str]:
    """Addresses of new Services with the server behind them."""
    found = []
    for number in range(count):
        document = {
            "apiVersion": SERVICE.api_version(),
            "kind": SERVICE.kind,
            "metadata": {"name": f"{name}-{number}", "namespace": _SPACE},
            "spec": {"selector": {"app": "echo"}, "ports": [{"name": "http", "port": 8080}]},
        }
        found.append(str((await scene.api.create(SERVICE, document, _SPACE))["spec"]["clusterIP"]))
    return found


async def _many(scene: Scene, count: int) -> None:
    network = scene.record.plan.network
    left = iter([_entry(f"many-{number}", network[_FIRST + number]) for number in range(count)])

    async def some() -> None:
        for document in left:
            await scene.api.create(SERVICE_ENTRY, document, _SPACE)

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))


def _entry(name: str, address: IPv4Address) -> Document:
    """A host with one endpoint, where nobody is."""
    return {
        "apiVersion": SERVICE_ENTRY.api_version(),
        "kind": SERVICE_ENTRY.kind,
        "metadata": {"name": name, "namespace": _SPACE},
        "spec": {
            "hosts": [f"{name}.bench.example.com"],
            "addresses": [str(address)],
            "ports": [{"number": 8080, "name": "tcp", "protocol": "TCP"}],
            "resolution": "STATIC",
            "location": "MESH_INTERNAL",
            "endpoints": [{"address": str(IPv4Address(_NOWHERE | int(address) & 0xFFFF))}],
        },
    }


async def _captured(scene: Scene) -> str:
    late = [p.name for p in await scene.pods(_SPACE) if p.annotations.get(wellknown.REDIRECTION) != "enabled"]
    return f"not captured: {', '.join(late)}" if late else ""


async def _served(scene: Scene, client: Pod, address: str) -> str:
    reply = await scene.inside(client, lambda _: talk.get(address, 8080))
    return "" if reply.status == 200 else f"{address}: {reply.status} {reply.body}"


async def _twice(addresses: list[str]) -> tuple[list[float], list[float]]:
    """Seconds of the first and of the second request to each; one that is not answered ends the trial."""
    took: tuple[list[float], list[float]] = ([], [])
    for address in addresses:
        for each in took:
            reply = await talk.get(address, 8080)
            if reply.status != 200:
                raise RuntimeError(f"{address}: {reply.status} {reply.body}")
            each.append(reply.seconds)
        await asyncio.sleep(0.05)
    return took


def _used(scene: Scene) -> tuple[usage.Usage, usage.Usage]:
    return usage.measure(usage.proxies([scene.layout.netns(_NODE)])), usage.measure([agent(scene, _NODE)])


def _cost(services: int, before: tuple[usage.Usage, ...], after: tuple[usage.Usage, ...]) -> dict[str, Any]:
    grown = sum(used.private for used in after) - sum(used.private for used in before)
    return {"what": f"cost of {services} services, private MB in all", "median": round(grown / 1e6, 1)}


def _memory(what: str, used: usage.Usage) -> dict[str, Any]:
    return {"what": f"{what}, private MB", "median": round(used.private / 1e6, 1), "min": None, "max": None}


def _spread(what: str, seconds: list[float]) -> dict[str, Any]:
    low, middle, high = (round(f(seconds) * 1000, 1) for f in (min, statistics.median, max))
    return {"what": what, "median": middle, "min": low, "max": high}
