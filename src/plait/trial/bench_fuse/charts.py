"""Bars as SVG, written by hand: a report must open anywhere, and a plotting library would be the largest dependency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

_LEFT, _RIGHT, _TOP, _ROW, _BAR, _WIDTH = 150, 90, 44, 26, 16, 760
_COLOURS = ("#3b6ea5", "#d98c3a", "#5a9a68", "#8a6fb0", "#999999")
Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Bar:
    """One row: parts stand one after another; `low` and `high` are bounds of their sum, equal where there are none."""

    label: str
    parts: tuple[float, ...]
    low: float
    high: float

    @property
    def total(self) -> float:
        return sum(self.parts)


def bars(title: str, unit: str, rows: Sequence[Bar], *, names: Sequence[str] = (), target: float | None = None) -> str:
    """Horizontal bars on a common scale that holds every bound; `names` of the parts make a legend, `target` a line.

    A bound that is infinite is drawn to the edge.
    """
    finite = [v for row in rows for v in (row.total, row.low, row.high, target or 0.0, 0.0) if abs(v) != float("inf")]
    least, most = min([*finite, 0.0]), max([*finite, 1e-12])
    span = (most - least) * 1.02
    across = _WIDTH - _LEFT - _RIGHT

    def x(value: float) -> float:
        return round(_LEFT + across * (min(max(value, least), most) - least) / span, 1)

    height = _TOP + _ROW * len(rows) + (34 if names else 14)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="8" y="20" font-size="14" font-weight="bold">{escape(title)}</text>',
    ]
    for number, row in enumerate(rows):
        drawn += _row(row, _TOP + _ROW * number, unit, x)
    bottom = _TOP + _ROW * len(rows)
    drawn.append(_line(x(0.0), _TOP - 6, bottom, "#333333"))
    if target is not None:
        drawn.append(_line(x(target), _TOP - 6, bottom, "#b03030", dashed=True))
        drawn.append(f'<text x="{x(target) + 3}" y="{_TOP - 8}" fill="#b03030">target {_number(target)}</text>')
    for number, name in enumerate(names):
        at = _LEFT + 120 * number
        drawn.append(f'<rect x="{at}" y="{bottom + 10}" width="10" height="10" fill="{_COLOURS[number % 5]}"/>')
        drawn.append(f'<text x="{at + 14}" y="{bottom + 19}">{escape(name)}</text>')
    return "\n".join([*drawn, "</svg>", ""])


def _row(row: Bar, top: float, unit: str, x: Scale) -> list[str]:
    middle = top + _BAR / 2
    drawn = [f'<text x="{_LEFT - 8}" y="{middle + 4}" text-anchor="end">{escape(row.label)}</text>']
    at = 0.0
    for number, part in enumerate(row.parts):
        left, right = sorted((x(at), x(at + part)))
        colour = _COLOURS[number % len(_COLOURS)]
        if part:
            drawn.append(
                f'<rect x="{left}" y="{top}" width="{round(right - left, 1)}" height="{_BAR}" fill="{colour}"/>'
            )
        at += part
    if row.low != row.high:
        drawn.append(
            f'<path d="M{x(row.low)} {middle}H{x(row.high)}M{x(row.low)} {middle - 4}v8M{x(row.high)} {middle - 4}v8" '
            'stroke="#111111" fill="none"/>'
        )
    text = f"{_number(row.total)} {unit}".strip()
    drawn.append(f'<text x="{_WIDTH - 6}" y="{middle + 4}" text-anchor="end">{escape(text)}</text>')
    return drawn


def _line(x: float, top: float, bottom: float, colour: str, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<path d="M{x} {top}V{bottom}" stroke="{colour}"{dash}/>'


def _number(value: float) -> str:
    return f"{value:.3g}"
