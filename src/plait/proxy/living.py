"""Bytes of living connections, put where people look for them: into the counters of bytes on the node's page.

Envoy's counters learn a connection's bytes at its end. Until then they stand in gauges, one set a connection
(`envoy.telemetry`): does it live, what has it sent (with all labels), what has it received. Here they are added to the
counters and left out of the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_MARK: Final = "istio_live"
_GAUGES: Final = (_MARK, f"envoy_{_MARK}")
_COUNTER: Final = {"_sent_bytes": "istio_tcp_sent_bytes_total", "_received_bytes": "istio_tcp_received_bytes_total"}
_BYTES: Final = tuple(f"{prefix}{name}" for prefix in ("", "envoy_") for name in _COUNTER.values())


@dataclass(slots=True)
class _Stream:
    """What the page says of one connection."""

    prefix: str = ""
    lives: bool = False
    labels: str | None = None
    moved: dict[str, float] = field(default_factory=dict)


def folded(page: str) -> tuple[str, dict[str, float]]:
    """The page with living connections in its counters, and what was added to which series."""
    if _MARK not in page:
        return page, {}
    streams: dict[str, _Stream] = {}
    lines = []
    for line in page.splitlines():
        if line.startswith(_GAUGES):
            _note(streams, line)
        elif not (line.startswith("#") and _MARK in line):
            lines.append(line)
    added: dict[str, float] = {}
    for stream in streams.values():
        # Without its labels or its sign of life a set is not whole (Envoy keeps only so many gauges).
        if stream.lives and stream.labels is not None:
            for kind, value in stream.moved.items():
                series = f"{stream.prefix}{_COUNTER[kind]}{{{stream.labels}}}"
                added[series] = added.get(series, 0.0) + value
    return "".join(f"{line}\n" for line in _counted(lines, added)), added


def _note(streams: dict[str, _Stream], line: str) -> None:
    """`[envoy_]istio_live[_kind]{labels,stream="name"} value`. By hand: a node may have thousands, a kilobyte each."""
    rest, _, value = line.rpartition(" ")
    rest, _, name = rest.rpartition('stream="')
    metric, _, labels = rest.partition("{")
    prefix, _, kind = metric.partition(_MARK)
    if (stream := streams.get(name)) is None:
        stream = streams[name] = _Stream(prefix)
    if not kind:
        stream.lives = float(value) > 0
        return
    stream.moved[kind] = float(value)
    if kind == "_sent_bytes":
        stream.labels = labels.removesuffix(",")


def _counted(lines: list[str], added: dict[str, float]) -> Iterator[str]:
    there = {line.rpartition(" ")[0] for line in lines if line.startswith(_BYTES)}
    fresh: dict[str, list[str]] = {}  # no connection has ended in these yet
    for series, more in added.items():
        if series not in there:
            fresh.setdefault(series.partition("{")[0], []).append(f"{series} {more:.0f}")
    for line in lines:
        if line.startswith(_BYTES):
            series, _, value = line.rpartition(" ")
            yield f"{series} {float(value) + added[series]:.0f}" if series in added else line
            continue
        yield line
        if line.startswith("# TYPE "):
            yield from fresh.pop(line.split(" ")[2], ())
    for name, rows in fresh.items():
        yield f"# TYPE {name} counter"
        yield from rows


class Living:
    """Folds page after page, and lets no counter fall for a moment.

    Between a look at the counters and one at the gauges a connection may end: its bytes are in neither. They are in the
    next page's counters, so until then the last value is shown. A greater fall is a restart of Envoy and is shown.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, float]] = {}  # series -> (shown, of it living)

    def page(self, text: str) -> str:
        text, added = folded(text)
        there = text.splitlines()
        # A series that nobody had ended in: between gauge and counter it is not there at all. Once; then it is gone.
        here = {line.rpartition(" ")[0] for line in there if line.startswith(_BYTES)}
        away = {s: shown for s, (shown, lived) in self._last.items() if s not in here and 0 < shown <= lived}
        lines: list[str] = []
        last: dict[str, tuple[float, float]] = {}
        for line in _counted(there, away) if away else there:
            if line.startswith(_BYTES):
                series, _, number = line.rpartition(" ")
                value = float(number)
                shown, lived = self._last.get(series, (value, 0.0))
                if series in away:
                    last[series] = (value, 0.0)
                elif shown - lived <= value < shown:
                    line, last[series] = f"{series} {shown:.0f}", (shown, lived)
                else:
                    last[series] = (value, added.get(series, 0.0))
            lines.append(line)
        self._last = last
        return "".join(f"{line}\n" for line in lines)
