"""`plait bench l4`: the same pair with and without the mesh, in interleaved blocks of one run, and what it costs.

Cases: 1 KB answers at a fixed rate on kept connections, a connection a request, as much as 8 connections can carry, and
one bulk TCP stream. The load generator is Python: at saturation it is part of what is measured, in both modes alike.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from plait.base import wellknown
from plait.trial import load, usage
from plait.trial.scene import Pod, Scene, until

MODES = ("none", "l4")
_BULK_CHUNK = b"\0" * (256 * 1024)


@dataclass(frozen=True, slots=True)
class Row:
    """One block of one case in one mode. Times in seconds, rates per second; `cpu` = proxy CPU seconds per unit."""

    case: str
    mode: str
    rate: float
    p50: float
    p99: float
    cpu: float
    lost: int


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
                    yield {
                        "case": case,
                        "mode": mode,
                        "rate": _spread([row.rate for row in rows], 1, 1e6 if case.startswith("bulk") else 1),
                        "p50_ms": _spread([row.p50 for row in rows], 2, 1e-3),
                        "p99_ms": _spread([row.p99 for row in rows], 2, 1e-3),
                        "proxy_cpu_us": _spread([row.cpu for row in rows], 0, 1e-6),
                        "lost": sum(row.lost for row in rows),
                        "blocks": len(rows),
                    }


def _spread(values: list[float], digits: int, unit: float) -> str:
    low, middle, high = (f"{v / unit:.{digits}f}" for v in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low}–{high})"


async def run(
    scene: Scene, samples: Path, *, blocks: int, seconds: float, rate: float, tell: Callable[[str], None]
) -> Report:
    """Apply the pairs, warm up, then `blocks` rounds of ABBA."""
    await scene.apply(samples / "bench" / "pair.yaml")
    await scene.wait_ready([f"bench-{mode}" for mode in MODES])
    await until(lambda: _enrolled(scene), 20.0)
    pairs = {mode: await _pair(scene, mode) for mode in MODES}
    pids = usage.proxies([scene.layout.netns(node) for node in scene.record.nodes])
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
                report.rows.append(await _measured(scene, case, mode, pairs[mode], plan, pids))
            report.rows.append(await _bulk(scene, mode, pairs[mode], seconds, pids))
        tell(f"block {block + 1} of {blocks}")
    report.memory = usage.measure(pids)
    return report


async def _enrolled(scene: Scene) -> str:
    pods = await scene.pods("bench-l4")
    late = [pod.name for pod in pods if pod.annotations.get(wellknown.REDIRECTION) != "enabled"]
    return f"not captured: {', '.join(late)}" if late else ""


async def _pair(scene: Scene, mode: str) -> tuple[Pod, str]:
    """The client pod and the address of its server's service."""
    from plait.resources.kinds import SERVICE

    service = await scene.api.get(SERVICE, "echo", f"bench-{mode}")
    return await scene.pod(f"bench-{mode}", "client"), str(service["spec"]["clusterIP"])


async def _load(scene: Scene, pair: tuple[Pod, str], plan: load.Plan, seconds: float) -> load.Result:
    client, address = pair
    due = load.Plan(address, plan.port, plan.rate, seconds, plan.connections, plan.keep_alive)
    return await scene.inside(client, lambda stop: load.run(due, stop))


async def _measured(scene: Scene, case: str, mode: str, pair: tuple[Pod, str], plan: load.Plan, pids: list[int]) -> Row:
    before = usage.measure(pids).cpu
    result = await _load(scene, pair, plan, plan.seconds)
    cpu = (usage.measure(pids).cpu - before) / max(1, result.sent)
    answered = len(result.latencies) / result.seconds
    return Row(case, mode, answered, result.percentile(0.5), result.percentile(0.99), cpu, result.lost_total)


async def _bulk(scene: Scene, mode: str, pair: tuple[Pod, str], seconds: float, pids: list[int]) -> Row:
    before = usage.measure(pids).cpu
    client, address = pair
    octets, took = await scene.inside(client, lambda _: _send(address, 8081, seconds))
    cpu = (usage.measure(pids).cpu - before) / max(1, octets / 1e6)
    return Row("bulk, one stream (MB/s; CPU per MB)", mode, octets / took, took, took, cpu, 0)


async def _send(host: str, port: int, seconds: float) -> tuple[int, float]:
    reader, writer = await asyncio.open_connection(host, port)
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        writer.write(_BULK_CHUNK)
        await writer.drain()
    writer.write_eof()
    received = int(await reader.readline())
    took = time.perf_counter() - began
    writer.close()
    return received, took
