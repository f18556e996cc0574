"""How many proxies should run? What they reported, twice, and what was found before -> a number. Reads no clock.

More proxies come at once, fewer only when fewer would have been enough for a whole while (`Operation.steady`): so
between a step up and the next step down that time passes, and load that swings faster moves nothing. None at all
run only after a time without any use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from plait.deploy.operation import Operation

_TOLERANCE = 0.1
"""How far from its target a proxy may be before the number changes."""
_FEW = 20
"""Of fewer requests the slowest in a hundred says nothing."""
_LEAP = 2
"""By how much the number may grow at once."""


@dataclass(frozen=True, slots=True)
class Report:
    """One proxy at one moment. Counts and CPU seconds are totals since it started.

    `under_way`: requests, and connections that are no HTTP. `slower` are (milliseconds, how many requests took at most
    that long) in order.
    """

    at: float
    requests: int = 0
    under_way: int = 0
    cpu: float = 0.0
    slower: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Load:
    """All proxies together, between two moments. `p99` in seconds, None when too few requests were seen."""

    rps: float = 0.0
    cpu: float = 0.0
    p99: float | None = None
    used: bool = False
    """Something is under way, or was asked meanwhile."""


@dataclass(frozen=True, slots=True)
class Memory:
    """`wanted`: (when, how many would have been enough); `used_at`: when it was last in use."""

    wanted: tuple[tuple[float, int], ...] = ()
    used_at: float | None = None


def load(before: Mapping[str, Report], after: Mapping[str, Report]) -> Load:
    """By proxies. One that was not there before adds what it did since it started; one that went adds nothing."""
    rps = cpu = 0.0
    took: dict[float, int] = {}
    for name, now in after.items():
        then = before.get(name)
        if then is None or then.requests > now.requests or now.at <= then.at:  # it is new, or it was started again
            continue
        seconds = now.at - then.at
        rps += (now.requests - then.requests) / seconds
        cpu += max(0.0, now.cpu - then.cpu) / seconds
        earlier = dict(then.slower)
        for bound, count in now.slower:
            took[bound] = took.get(bound, 0) + count - earlier.get(bound, 0)
    used = any(now.under_way or now.requests != _requests(before.get(name)) for name, now in after.items())
    return Load(rps, cpu, _slowest(took), used)


def _requests(report: Report | None) -> int:
    return report.requests if report is not None else 0


def _slowest(took: Mapping[float, int]) -> float | None:
    """The 99th percentile, in seconds, as an upper bound."""
    total = max(took.values(), default=0)
    if total < _FEW:
        return None
    return next(bound for bound, count in sorted(took.items()) if count >= 0.99 * total) / 1e3


def decide(operation: Operation, replicas: int, seen: Load, memory: Memory, now: float) -> tuple[int, Memory]:
    """How many proxies are to run, and what to remember. `replicas` run now; none of them means that it sleeps."""
    used_at = now if seen.used or memory.used_at is None else memory.used_at
    if replicas == 0:
        return 0, Memory((), used_at)  # who calls wakes it
    enough = min(operation.most, max(operation.least, needed(operation, replicas, seen)))
    since = now - operation.steady
    wanted = (*(each for each in memory.wanted if each[0] > since), (now, enough))
    remembered = Memory(wanted, used_at)
    if operation.idle is not None and now - used_at >= operation.idle:
        return 0, remembered
    if enough > replicas:
        return enough, remembered
    known_for = memory.wanted[0][0] if memory.wanted else now
    if known_for > since:  # not watched for long enough to let any go
        return _within(operation, replicas), remembered
    return _within(operation, min(replicas, max(count for _, count in wanted))), remembered


def _within(operation: Operation, replicas: int) -> int:
    return min(operation.most, max(operation.least, replicas))


def needed(operation: Operation, replicas: int, seen: Load) -> int:
    """The largest number that any target asks for; the present one while every proxy is near its target."""
    found = [
        _share(total, target, replicas)
        for total, target in ((seen.rps, operation.rps), (seen.cpu, operation.cpu))
        if target is not None
    ]
    if operation.p99 is not None:
        found.append(_share(seen.p99 * replicas, operation.p99, replicas) if seen.p99 is not None else 1)
    return min(max(found, default=1), _LEAP * replicas)


def _share(total: float, target: float, replicas: int) -> int:
    if abs(total / (target * replicas) - 1) <= _TOLERANCE:
        return replicas
    return max(1, math.ceil(round(total / target, 9)))


def used(seen: Load) -> Load:
    """The same, in use."""
    return replace(seen, used=True)
