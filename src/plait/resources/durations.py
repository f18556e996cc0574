"""Durations as Istio (Go: 1h30m, 1.5s, 100ms, also protobuf's 1.5s) and the Gateway API (GEP-2257) write them."""

from __future__ import annotations

import re

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(h|ms|m|s|us|µs|μs|ns)")
_WHOLE = re.compile(rf"[-+]?(?:{_PART.pattern})+|0", re.ASCII)
_LONGEST = (2**63 - 1) / 1e9
"""292 years: nanoseconds are counted in 64 bits, by Go and by Envoy."""
_GATEWAY = re.compile(r"([0-9]{1,5}(h|m|s|ms)){1,4}")


def seconds(text: str) -> float | None:
    """Seconds of a Go duration; None when it is not one."""
    if not _WHOLE.fullmatch(text):
        return None
    total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if total > _LONGEST:
        return None
    return -total if text.startswith("-") else total


def gateway_seconds(text: str) -> float | None:
    """Seconds of a Gateway API duration; None when it is not one."""
    return seconds(text) if _GATEWAY.fullmatch(text) else None
