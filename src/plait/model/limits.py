"""Limits: how much is let in to what a LimitPolicy names. Enforced beside the server, as attached policies are.

`rate` and `shared` are owed: who cannot be counted is refused (see `model.guard`). The rest protects the server from
load, so where nobody can apply it, requests go on and the status says so (`model.enforcement`).
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from plait.model.attachment import Attachment
from plait.model.routes import FieldMatch, TextMatch
from plait.model.traffic import Pool

KIND = "LimitPolicy"


class Counted(Struct, frozen=True, gc=False):
    """Requests that are counted: all conditions hold. `path` is without its query."""

    path: TextMatch | None = None
    methods: tuple[str, ...] = ()
    headers: tuple[FieldMatch, ...] = ()


class Refusal(Struct, frozen=True, gc=False):
    status: int = 429
    headers: tuple[tuple[str, str], ...] = ()


class Rate(Struct, frozen=True, gc=False):
    """A token bucket: `burst` tokens, refilled by `requests` every `seconds`."""

    requests: int
    seconds: float
    burst: int


class Entry(Struct, frozen=True, gc=False):
    """One entry of a descriptor: a fixed value, a header's value, or (neither) the client's address."""

    key: str
    value: str = ""
    header: str = ""


class RateLimit(Struct, frozen=True, gc=False):
    """Requests that match any of `matches` (none given: all), told apart by `by`."""

    name: str
    rate: Rate
    matches: tuple[Counted, ...] = ()
    by: tuple[Entry, ...] = ()
    refusal: Refusal = Refusal()


class SharedLimit(Struct, frozen=True, gc=False):
    descriptor: tuple[Entry, ...]
    matches: tuple[Counted, ...] = ()


class SharedRateLimit(Struct, frozen=True, gc=False):
    """Counts kept by the service at hostname:port. `broken`: it cannot be asked."""

    hostname: str
    port: int
    domain: str
    timeout: float
    limits: tuple[SharedLimit, ...]
    fail_open: bool = False
    refusal: Refusal = Refusal()
    namespace: str = ""
    broken: str = ""


class Breaker(Struct, frozen=True, gc=False):
    """0 is "not said"."""

    connections: int = 0
    pending_requests: int = 0
    requests: int = 0
    retries: int = 0


class Adaptive(Struct, frozen=True, gc=False):
    percentile: float
    update: float
    most: int
    least: int
    baseline: float
    baseline_requests: int
    jitter: float
    buffer: float
    status: int


class Connections(Struct, frozen=True, gc=False):
    """0 and None are "not said"."""

    most: int = 0
    rate: Rate | None = None


class LimitPolicy(Struct, frozen=True):
    """One LimitPolicy object."""

    name: str
    namespace: str
    attachment: Attachment
    rates: tuple[RateLimit, ...] = ()
    shared: SharedRateLimit | None = None
    breaker: Breaker | None = None
    adaptive: Adaptive | None = None
    connections: Connections | None = None
    created: str = ""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def owed(self) -> bool:
        """Whether it must not be got around."""
        return bool(self.rates) or self.shared is not None

    @property
    def order(self) -> tuple[str, str, str]:
        """Of two that say the same, the older one has the word."""
        return self.created, self.namespace, self.name


def narrowed(pool: Pool | None, limits: Iterable[LimitPolicy]) -> Pool | None:
    """A connection pool with circuit breakers laid over: the smaller number of both holds."""
    for each in limits:
        if each.breaker is not None:
            pool = _narrowed(pool or Pool(), each.breaker)
    return pool


def _narrowed(pool: Pool, breaker: Breaker) -> Pool:
    def least(*numbers: int) -> int:
        return min((number for number in numbers if number), default=0)

    return replace(
        pool,
        max_connections=least(pool.max_connections, breaker.connections),
        max_pending_requests=least(pool.max_pending_requests, breaker.pending_requests),
        max_requests=least(pool.max_requests, breaker.requests),
        max_retries=least(pool.max_retries, breaker.retries),
    )
