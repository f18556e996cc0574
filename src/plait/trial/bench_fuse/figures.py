"""From blocks to what may be said: each figure of a state with its bounds, and what it saves against all sidecars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from plait.trial.bench_fuse.blocks import IDLE, Block
from plait.trial.bench_fuse.meter import BESIDE, PROXIES, Memory, Part, proxy_bytes
from plait.trial.bench_fuse.statistics import Interval, Verdict, mean, percentile, saving
from plait.trial.bench_fuse.worlds import NODES

BASE: Final = "M0"
SIDECARS: Final = "M1"
SHARES: Final = (0.5, 0.9, 0.99)
TARGETS: Final = {"cpu": 0.60, "memory": 0.60, "p50": 0.40, "p90": 0.40}
"""Of a mesh with L7 for at most a tenth of its services and ten pods a node or more, against a sidecar in each pod."""


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that was measured with so many pods a node. `memory`: (state, block, what was read)."""

    pods: int
    rate: float
    capacity: dict[str, float]
    blocks: tuple[Block, ...]
    memory: tuple[tuple[str, int, Memory], ...]
    skipped: dict[str, str]

    def of(self, state: str, case: str) -> list[Block]:
        return [each for each in self.blocks if (each.state, each.case) == (state, case)]

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.state for each in self.blocks))

    @property
    def cases(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.case for each in self.blocks if each.case != IDLE))


@dataclass(frozen=True, slots=True)
class Figure:
    """One state under one case. Latencies and added latencies in seconds by share, CPU in seconds a request by part."""

    state: str
    case: str
    blocks: int
    kept: int
    lost: int
    requests: int
    latency: dict[float, Interval]
    added: dict[float, Interval]
    cpu: dict[Part, Interval]
    proxies: Interval


@dataclass(frozen=True, slots=True)
class Saving:
    """What a state saves of `what` (cpu, memory, p50, p90, p99) against all sidecars, 1 being everything."""

    state: str
    case: str
    what: str
    found: Interval

    @property
    def verdict(self) -> Verdict | None:
        return self.found.against(TARGETS[self.what]) if self.what in TARGETS else None


def figures(run: Run) -> list[Figure]:
    return [_figure(run, state, case) for case in run.cases for state in run.states]


def _figure(run: Run, state: str, case: str) -> Figure:
    blocks = run.of(state, case)
    return Figure(
        state,
        case,
        len(blocks),
        sum(each.kept for each in blocks),
        sum(each.lost for each in blocks),
        sum(each.requests for each in blocks),
        {share: mean([percentile(each.latencies, share) for each in blocks]) for share in SHARES},
        {share: mean(_added(run, state, case, share)) for share in SHARES},
        {part: mean([each.cpu[part] / each.requests for each in blocks]) for part in (*PROXIES, *BESIDE)},
        mean([_proxies(each) / each.requests for each in blocks]),
    )


def savings(run: Run) -> list[Saving]:
    """Of every state but the two that are compared with."""
    found = []
    for state in run.states:
        if state in (BASE, SIDECARS):
            continue
        for case in run.cases:
            found.append(Saving(state, case, "cpu", _against(run, state, case, _cpu)))
            for share in SHARES:
                ours, theirs = (_added(run, each, case, share) for each in (state, SIDECARS))
                found.append(Saving(state, case, f"p{share * 100:.0f}", saving(_units(ours), _units(theirs))))
        ours, theirs = (proxy_memory(run, each) for each in (state, SIDECARS))
        found.append(Saving(state, "", "memory", saving(_units(ours), _units(theirs))))
    return found


def proxy_memory(run: Run, state: str) -> list[float]:
    """Bytes of all proxies, a value a block."""
    numbers = sorted({number for key, number, _ in run.memory if key == state})
    return [
        float(proxy_bytes([each for key, at, each in run.memory if (key, at) == (state, number)])) for number in numbers
    ]


def private(run: Run, state: str, part: Part) -> float:
    """Mean private bytes of one process of a part; 0 where there is none."""
    found = [each for key, _, each in run.memory if key == state and each.part == part]
    count = sum(each.processes for each in found)
    return sum(each.private for each in found) / count if count else 0.0


def break_even(run: Run, state: str) -> float:
    """Below so many pods a node sidecars need less memory: the private memory of a node's proxies, in sidecars.

    With node proxies as large as they are with `run.pods` pods, so for fewer pods the truth is somewhat below.
    """
    one = private(run, SIDECARS, "sidecar")
    blocks = max(1, len({number for key, number, _ in run.memory if key == state}))
    whole = sum(each.private for key, _, each in run.memory if key == state and each.part in PROXIES)
    return whole / blocks / len(NODES) / one if one else 0.0


def idle_cpu(run: Run, state: str) -> dict[Part, float]:
    """Seconds on a CPU in a second without any request."""
    (found,) = run.of(state, IDLE)
    return {part: spent / found.seconds for part, spent in found.cpu.items()}


def _added(run: Run, state: str, case: str, share: float) -> list[float]:
    """Above no mesh in the same round."""
    base = {each.number: percentile(each.latencies, share) for each in run.of(BASE, case)}
    return [percentile(each.latencies, share) - base[each.number] for each in _ordered(run.of(state, case))]


def _against(run: Run, state: str, case: str, figure: Callable[[Block], tuple[float, float]]) -> Interval:
    ours, theirs = ([figure(each) for each in _ordered(run.of(key, case))] for key in (state, SIDECARS))
    return saving(ours, theirs)


def _cpu(block: Block) -> tuple[float, float]:
    return _proxies(block), block.requests


def _proxies(block: Block) -> float:
    return sum(block.cpu[part] for part in PROXIES)


def _ordered(blocks: Iterable[Block]) -> list[Block]:
    return sorted(blocks, key=lambda each: each.number)


def _units(values: Sequence[float]) -> list[tuple[float, float]]:
    return [(value, 1.0) for value in values]
