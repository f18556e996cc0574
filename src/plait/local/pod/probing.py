"""When does a probe's series of answers change the verdict? Thresholds only; `probes` asks, `lifecycle` acts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from plait.store.api import Document

ProbeKind = Literal["startup", "liveness", "readiness"]
_YOUNG, _SOONEST, _OFTEN = 5.0, 0.02, 0.1  # seconds
KINDS: tuple[ProbeKind, ...] = ("startup", "liveness", "readiness")


@dataclass
class ProbeState:
    """One probe of one run. `verdict` starts false, but for liveness: alive until proven dead."""

    kind: ProbeKind
    success_threshold: int
    failure_threshold: int
    verdict: bool
    streak: int = 0
    last: bool | None = None
    told: float = -math.inf
    """The age at which a failure was last worth an event."""

    @classmethod
    def of(cls, kind: ProbeKind, spec: Document) -> ProbeState:
        successes = int(spec.get("successThreshold") or 1) if kind == "readiness" else 1
        told = 0.0 if kind == "readiness" else -math.inf  # that it is not ready in its first period is no news
        return cls(kind, successes, int(spec.get("failureThreshold") or 3), kind == "liveness", told=told)

    @property
    def gave_up(self) -> bool:
        """The container must be killed: enough failures of a probe that does more than steer traffic."""
        return self.kind != "readiness" and self.last is False and self.streak >= self.failure_threshold

    def count(self, ok: bool) -> None:
        self.streak = self.streak + 1 if self.last is ok else 1
        self.last = ok
        if ok and self.streak >= self.success_threshold:
            self.verdict = True
        elif not ok and self.streak >= self.failure_threshold:
            self.verdict = False

    def news(self, age: float, period: float) -> bool:
        """Is a failure worth an event? Once a period: a young container is asked more often than that."""
        if age - self.told < period:
            return False
        self.told = age
        return True


@dataclass(frozen=True, slots=True)
class Timing:
    delay: float
    period: float
    timeout: float


def timing(spec: Document) -> Timing:
    return Timing(
        float(spec.get("initialDelaySeconds") or 0),
        float(spec.get("periodSeconds") or 10),
        float(spec.get("timeoutSeconds") or 1),
    )


def soon(spec: Timing, age: float) -> float:
    """Seconds to the next question of a readiness probe that has not passed yet, in a container of this age.

    A young container is asked often: a tenth of its age, as that is what waiting may add to its start.
    """
    if age >= max(spec.period, _YOUNG):
        return spec.period
    return min(spec.period, max(_SOONEST, min(_OFTEN, age / 10)))
