"""Traffic of each workload, from two readings of the proxies' metrics pages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

Key = tuple[str, str]
"""Namespace and name of a workload."""
_COUNTED = {"istio_requests_total": "requests", "istio_tcp_connections_opened_total": "connections"}
Sample = tuple[str, str, Key]
"""requests or connections; "in" or "out"; whose."""


class Traffic(Struct, frozen=True):
    """In a second: HTTP requests where a proxy that reads HTTP counted them, else connections."""

    requests_in: float = 0.0
    requests_out: float = 0.0
    connections_in: float = 0.0
    connections_out: float = 0.0


def counted(pages: Iterable[str]) -> dict[Sample, float]:
    """The counters of all pages. A destination counts what comes in, a source what goes out: nothing counts twice."""
    found: dict[Sample, float] = {}
    for page in pages:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                what, labels = _COUNTED.get(sample.name), sample.labels
                side = {"destination": "destination", "source": "source"}.get(labels.get("reporter", ""))
                if what is None or side is None:
                    continue
                whose = labels.get(f"{side}_workload_namespace", ""), labels.get(f"{side}_workload", "")
                key = what, "in" if side == "destination" else "out", whose
                found[key] = found.get(key, 0.0) + sample.value
    return found


def between(first: Mapping[Sample, float], second: Mapping[Sample, float], seconds: float) -> dict[Key, Traffic]:
    """By workload. A counter that went back belongs to a proxy that was made anew: it counts from nothing."""
    rates: dict[Key, dict[str, float]] = {}
    for key, value in second.items():
        what, way, whose = key
        grown = value - first.get(key, 0.0)
        rates.setdefault(whose, {})[f"{what}_{way}"] = (grown if grown >= 0 else value) / seconds
    return {whose: Traffic(**found) for whose, found in rates.items()}
