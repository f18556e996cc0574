"""The requests that every cell must answer alike, and what each asks of whom: what cells are held against.

`kind` is what `model.enforcement` decides about. A case is judged by what the server and the client saw, never by
what a proxy says of itself: counts at the servers and values of headers show that an action ran exactly once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from plait.model.enforcement import Kind

DELAY: Final = 0.5
"""Seconds. Twice would be seen as twice as long, so it is long enough for a busy machine to be told from that."""
RATE: Final = 4
"""Requests of one tag that the LimitPolicy lets in, in an hour."""
BRITTLE: Final = 2
"""Requests at a time that the DestinationRule lets to the subset `brittle`."""
CROWD: Final = 4
"""Requests at a time that the LimitPolicy lets in."""
HELD: Final = 0.8
"""Seconds that the server holds a request which must meet others there."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One exchange: what the client got, and what the server wrote down (None when it was not reached)."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str
    seconds: float
    arrived: int = 0
    """How often the request's tag came to the service's own servers."""
    mirrored: int = 0
    """How often it came to the mirror."""
    statuses: tuple[int, ...] = ()
    """Of every request of a case that asks several times; the rest is of the first."""
    acted: tuple[tuple[str, int], ...] = ()
    """Proxies that counted the case's action, and how often (see `counters`)."""

    @property
    def times(self) -> list[int]:
        """How often each proxy acted that did; one number when exactly one proxy did."""
        return [number for _, number in self.acted]

    def passed(self, number: int, status: int) -> bool:
        """Of several requests so many were served by the server, the others refused with this status before it."""
        answers = self.statuses.count(200), self.statuses.count(status)
        return sum(answers) == len(self.statuses) and answers[0] == number == self.arrived

    def server(self, name: str) -> str:
        """A field of what the server says of the request, "" where no server answered."""
        try:
            return str(json.loads(self.body).get(name, ""))
        except (ValueError, AttributeError):
            return ""

    def values(self, header: str) -> list[str]:
        """Every value with which this header reached the server."""
        try:
            found = json.loads(self.body).get("headers", ())
        except (ValueError, AttributeError):
            return []
        return [value for name, value in found if name == header]

    @property
    def verdict(self) -> str:
        """What two cells must have in common, as text."""
        if self.status == 0:
            return "refused"
        parts = [str(self.status)]
        if self.status == 200:
            parts += [self.server("path"), self.server("version")]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    kind: Kind
    path: str
    holds: Callable[[Seen], bool]
    """Was the action applied, exactly once?"""
    plain: Callable[[Seen], bool]
    """Is it what comes when nobody applies it (and nobody has to refuse)?"""
    requests: int = 1
    together: bool = False
    """The requests are sent at once, not one after another."""
    counter: str = ""
    """Expression for the proxies' counters that tell who acted."""
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()


def _served(seen: Seen) -> bool:
    return seen.status == 200


def _untouched(path: str) -> Callable[[Seen], bool]:
    return lambda seen: seen.server("path") == path and seen.mirrored == 0


def cases(token: str, foreign: str) -> tuple[Case, ...]:
    """`token` is of the issuer that the services trust, `foreign` is signed by somebody else."""
    return (
        Case("allow", "waypoint-policy", "/open", lambda s: _served(s) and s.arrived == 1, _served),
        Case("deny", "waypoint-policy", "/denied", lambda s: s.status == 403 and s.arrived == 0, _served),
        Case(
            "token",
            "waypoint-policy",
            "/private",
            lambda s: _served(s) and s.arrived == 1,
            _served,
            headers=(("authorization", f"Bearer {token}"),),
        ),
        Case("no token", "waypoint-policy", "/private", lambda s: s.status == 403 and s.arrived == 0, _served),
        Case(
            "foreign token",
            "waypoint-policy",
            "/private",
            lambda s: s.status == 401 and s.arrived == 0,
            _served,
            headers=(("authorization", f"Bearer {foreign}"),),
        ),
        Case("route", "route", "/to-v2", lambda s: s.server("version") == "v2", _untouched("/to-v2")),
        Case("rewrite", "route", "/old/thing", lambda s: s.server("path") == "/new/thing", _untouched("/old/thing")),
        Case(
            "header",
            "route",
            "/headers",
            lambda s: s.values("x-once") == ["1"] and s.headers.count(("x-answered", "1")) == 1,
            lambda s: s.values("x-once") == [],
        ),
        Case("retry", "route", "/flaky/2", lambda s: _served(s) and s.arrived == 3, lambda s: s.status == 503),
        Case(
            "mirror",
            "route",
            "/mirrored",
            lambda s: _served(s) and s.arrived == 1 and s.mirrored == 1,
            _untouched("/mirrored"),
        ),
        Case("fault", "route", "/faulty", lambda s: s.status == 555 and s.arrived == 0, _untouched("/faulty")),
        Case(
            "delay",
            "route",
            "/delayed",
            lambda s: _served(s) and DELAY <= s.seconds < 2 * DELAY,
            _untouched("/delayed"),
        ),
        Case("timeout", "route", "/slow/1", lambda s: s.status == 504, _served),
        Case(
            "redirect",
            "route",
            "/moved",
            lambda s: s.status == 301 and s.arrived == 0 and any(v.endswith("/found") for _, v in s.headers),
            _untouched("/moved"),
        ),
        Case(
            "rate limit",
            "rate-limit",
            "/limited",
            lambda s: s.passed(RATE, 429) and s.times == [s.statuses.count(429)],
            lambda s: {*s.statuses} == {200},
            requests=RATE + 3,
            counter=r"\.http_local_rate_limit\.rate_limited$",
        ),
        Case(
            "circuit break",
            "balancing",
            f"/brittle/{HELD}",
            lambda s: s.passed(BRITTLE, 503) and s.times == [s.statuses.count(503)],
            lambda s: {*s.statuses} == {200},
            requests=CROWD,  # all of them reach the server where nobody breaks the circuit
            together=True,
            counter=r"brittle.*upstream_rq_active_overflow$",
        ),
        Case(
            "load limit",
            "load-limit",
            f"/crowd/{HELD}",
            lambda s: s.passed(CROWD * len(s.times), 503) and sum(s.times) == s.statuses.count(503),
            lambda s: {*s.statuses} == {200},
            requests=CROWD * 7,  # where connections are spread over two pods, each of them gets too many
            together=True,
            counter=r"^(?!.*brittle).*upstream_rq_active_overflow$",
        ),
    )
