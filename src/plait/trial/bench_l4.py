"""`plait bench l4`: one pair without the mesh, behind two hand-written TLS proxies, and in the mesh, interleaved.

Cases: 1 KB answers at a fixed rate on kept connections, a connection a request, as much as 8 connections can carry, and
one bulk TCP stream. The load generator is Python: at saturation it is part of what is measured, in all modes alike.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from plait.base import wellknown
from plait.resources.kinds import SERVICE
from plait.trial import load, tlspair, usage
from plait.trial.scene import Pod, Scene, until

MODES = ("none", "tls", "l4")
_PORTS = (8080, 8081)
_BULK = "bulk, one stream (MB/s; CPU per MB)"
_BULK_CHUNK = b"\0" * (256 * 1024)


@dataclass(frozen=True, slots=True)
class Row:
    """One block of one case in one mode. Times in seconds, rates per second; `cpu` seconds a unit at both ends."""

    case: str
    mode: str
    rate: float
    p50: float
    p99: float
    cpu: tuple[float, float]
    lost: int


@dataclass(frozen=True, slots=True)
class _Pair:
    """Who talks to whom at which address, and the pids of the proxies at both ends of the way."""

    client: Pod
    server: Pod
    address: str
    proxies: tuple[list[int], list[int]] = ([], [])


@dataclass(slots=True)
class Report:
    rows: list[Row] = field(default_factory=list)
    memory: usage.Usage | None = None

    def summary(self) -> Iterator[dict[str, object]]:
        """Median over blocks with the spread (min–max) of each figure, a line a case and mode."""
        for case in dict.fromkeys(row.case for row in self.rows):
            for mode in MODES:
                rows = [row for row in self.rows if (row.case, row.mode) == (case, mode)]
                if rows:
                    bulk = case == _BULK
                    yield {
                        "case": case,
                        "mode": mode,
                        "rate": _spread([row.rate for row in rows], 1, 1e6 if bulk else 1),
                        "p50_ms": "" if bulk else _spread([row.p50 for row in rows], 2, 1e-3),
                        "p99_ms": "" if bulk else _spread([row.p99 for row in rows], 2, 1e-3),
                        "cpu_source_us": _spread([row.cpu[0] for row in rows], 0, 1e-6),
                        "cpu_destination_us": _spread([row.cpu[1] for row in rows], 0, 1e-6),
                        "lost": sum(row.lost for row in rows),
                        "blocks": len(rows),
                    }


def _spread(values: list[float], digits: int, unit: float) -> str:
    low, middle, high = (f"{v / unit:.{digits}f}" for v in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low}–{high})"


async def run(
    scene: Scene, samples: Path, *, blocks: int, seconds: float, rate: float, tell: Callable[[str], None]
) -> Report:
    """Apply the pairs, warm up, then `blocks` rounds, every second one in reverse order."""
    await scene.apply(samples / "bench" / "pair.yaml")
    await scene.wait_ready(["bench-none", "bench-l4"])
    await until(lambda: _enrolled(scene), 20.0)
    outside, inside = [await _pair(scene, namespace) for namespace in ("bench-none", "bench-l4")]
    nodes = [scene.layout.netns(pod.node) for pod in (outside.client, outside.server)]
    async with tlspair.running(scene, outside.client, outside.server, _PORTS):
        pairs = {
            "none": replace(outside, proxies=_proxies(nodes)),
            "tls": replace(
                outside,
                address="127.0.0.1",
                proxies=_proxies([outside.client.netns, outside.server.netns]),
            ),
            "l4": replace(inside, proxies=_proxies(nodes)),
        }
        return await _blocks(scene, pairs, blocks=blocks, seconds=seconds, rate=rate, tell=tell)


async def _blocks(
    scene: Scene, pairs: dict[str, _Pair], *, blocks: int, seconds: float, rate: float, tell: Callable[[str], None]
) -> Report:
    report = Report()
    cases = {
        f"keep-alive {rate:.0f} rps": load.Plan("", 8080, rate=rate, seconds=seconds, connections=16),
        "connection each 200 rps": load.Plan("", 8080, rate=200, seconds=seconds, connections=16, keep_alive=False),
        "saturation, 8 connections": load.Plan("", 8080, rate=0, seconds=seconds, connections=8),
    }
    for plan in cases.values():
        for mode in MODES:
            await _load(scene, pairs[mode], plan, 0.5)
    for block in range(blocks):
        for mode in MODES if block % 2 == 0 else MODES[::-1]:
            for case, plan in cases.items():
                report.rows.append(await _measured(scene, case, mode, pairs[mode], plan))
            report.rows.append(await _bulk(scene, mode, pairs[mode], seconds))
        tell(f"block {block + 1} of {blocks}")
    report.memory = usage.measure([pid for side in pairs["l4"].proxies for pid in side])
    return report


async def _enrolled(scene: Scene) -> str:
    pods = await scene.pods("bench-l4")
    late = [pod.name for pod in pods if pod.annotations.get(wellknown.REDIRECTION) != "enabled"]
    return f"not captured: {', '.join(late)}" if late else ""


async def _pair(scene: Scene, namespace: str) -> _Pair:
    service = await scene.api.get(SERVICE, "echo", namespace)
    client, server = [await scene.pod(namespace, app) for app in ("client", "echo")]
    return _Pair(client, server, str(service["spec"]["clusterIP"]))


def _proxies(spaces: list[Path]) -> tuple[list[int], list[int]]:
    source, destination = [usage.proxies([space]) for space in spaces]
    return source, destination


def _cpu(pair: _Pair) -> tuple[float, float]:
    return usage.measure(pair.proxies[0]).cpu, usage.measure(pair.proxies[1]).cpu


def _per(unit: float, before: tuple[float, float], after: tuple[float, float]) -> tuple[float, float]:
    return (after[0] - before[0]) / max(1.0, unit), (after[1] - before[1]) / max(1.0, unit)


async def _load(scene: Scene, pair: _Pair, plan: load.Plan, seconds: float) -> load.Result:
    due = replace(plan, host=pair.address, seconds=seconds)
    return await scene.inside(pair.client, lambda stop: load.run(due, stop))


async def _measured(scene: Scene, case: str, mode: str, pair: _Pair, plan: load.Plan) -> Row:
    before = _cpu(pair)
    result = await _load(scene, pair, plan, plan.seconds)
    cpu = _per(result.sent, before, _cpu(pair))
    answered = len(result.latencies) / result.seconds
    return Row(case, mode, answered, result.percentile(0.5), result.percentile(0.99), cpu, result.lost_total)


async def _bulk(scene: Scene, mode: str, pair: _Pair, seconds: float) -> Row:
    before = _cpu(pair)
    octets, took = await scene.inside(pair.client, lambda _: _send(pair.address, _PORTS[1], seconds))
    return Row(_BULK, mode, octets / took, took, took, _per(octets / 1e6, before, _cpu(pair)), int(octets == 0))


async def _send(host: str, port: int, seconds: float) -> tuple[int, float]:
    """Octets that arrived, as their receiver says, and how long it took; 0 when the connection broke."""
    began = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection(host, port)
        while time.perf_counter() - began < seconds:
            writer.write(_BULK_CHUNK)
            await writer.drain()
        writer.write_eof()
        received = int(await reader.readline())
    except (OSError, ValueError):
        return 0, time.perf_counter() - began
    took = time.perf_counter() - began
    writer.close()
    return received, took
