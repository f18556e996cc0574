"""What the proxies of the trial counted: which of them acted on a case, and what they reported of a cell's requests.

A case is judged by its ends; these numbers say that no second proxy did the same thing unseen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from plait.proxy.admin import Admin, AdminError
from plait.resources.kinds import POD
from plait.trial.scene import Scene

_ACTED = r"http_local_rate_limit.rate_limited|upstream_rq_active_overflow"
_SERIES = re.compile(r"istio_requests_total\{(.*)\} (\d+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
LABELS = (
    "response_code",
    "request_protocol",
    "destination_service",
    "destination_service_name",
    "destination_service_namespace",
)
"""What must be the same whoever reports; who reports, and over what, differs by definition."""
Series = tuple[str, ...]
"""Values of `reporter` and LABELS."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Of one L7 proxy."""

    stats: Mapping[str, int]
    requests: Mapping[Series, int]


Reading = Mapping[str, Numbers]
"""By pod."""


async def read(scene: Scene, namespace: str) -> Reading:
    """Every L7 proxy of the namespace, asked at its admin socket."""
    found = {}
    for item in (await scene.api.list(POD, namespace))[0]:
        socket = scene.layout.proxies / item["metadata"]["uid"] / "admin.sock"
        if not socket.exists():
            continue
        admin = Admin(socket)
        try:
            found[item["metadata"]["name"]] = Numbers(
                await admin.stats(_ACTED), dict(_series(await admin.prometheus()))
            )
        except AdminError:
            continue
        finally:
            await admin.close()
    return found


def _series(text: str) -> Iterator[tuple[Series, int]]:
    """Series that differ in other labels are one here."""
    found: Counter[Series] = Counter()
    for labels, value in _SERIES.findall(text):
        named = dict(_LABEL.findall(labels))
        found[tuple(named.get(name, "") for name in ("reporter", *LABELS))] += int(value)
    yield from found.items()


def acted(before: Reading, after: Reading, pattern: str) -> tuple[tuple[str, int], ...]:
    """Proxies whose counters of such names rose, and by how much."""
    wanted = re.compile(pattern)
    found = []
    for pod, numbers in sorted(after.items()):
        old = before[pod].stats if pod in before else {}
        rise = sum(value - old.get(name, 0) for name, value in numbers.stats.items() if wanted.search(name))
        if rise:
            found.append((pod, rise))
    return tuple(found)


def reported(before: Reading, after: Reading, host: str) -> Mapping[str, Mapping[Series, int]]:
    """By reporter, over all proxies: how many requests to the service, by the other labels; it is called HOST there."""
    found: dict[str, Counter[Series]] = {}
    for pod, numbers in after.items():
        old = before[pod].requests if pod in before else {}
        for series, value in numbers.requests.items():
            if value > old.get(series, 0) and any(host in label for label in series):
                reporter, *labels = series
                named = tuple(label.replace(host, "HOST") for label in labels)
                found.setdefault(reporter, Counter())[named] += value - old.get(series, 0)
    return found
