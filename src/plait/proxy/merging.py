"""The numbers of several generations of one proxy as one page: sums, and what ended generations had counted is kept.

So a counter does not fall because the proxy was upgraded. It does when the agent itself starts anew after an old
generation ended, or when Envoy crashes; readers take that for the restart it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from plait.proxy import living

_SAMPLE = re.compile(r"^(\S+?(?:\{.*\})?) (\S+)$")
_SUFFIX = re.compile(r"_(?:bucket|sum|count)$")
Page = dict[str, tuple[str, dict[str, float]]]
"""Metric name -> (its type, series with labels -> value), in the order read."""


def read(text: str) -> Page:
    """A page in Prometheus text format; what is no sample of a declared metric is left out."""
    page: Page = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ", 3)
            page.setdefault(name, (kind, {}))
        elif (found := _SAMPLE.match(line)) and not line.startswith("#"):
            series, value = found.groups()
            name = series.partition("{")[0]
            known = page.get(name) or page.get(_SUFFIX.sub("", name))
            if known is not None:
                known[1][series] = float(value)
    return page


def total(pages: Iterable[Page]) -> Page:
    """Series by series the sum. Shares of histograms add up too, as all generations have the same buckets."""
    result: Page = {}
    for page in pages:
        for name, (kind, samples) in page.items():
            whole = result.setdefault(name, (kind, {}))[1]
            for series, value in samples.items():
                whole[series] = whole.get(series, 0.0) + value
    return result


def counted(page: Page) -> Page:
    """Only what counts up: a gauge of an ended generation says nothing."""
    return {name: each for name, each in page.items() if each[0] in ("counter", "histogram")}


def text(page: Page) -> str:
    lines = []
    for name, (kind, samples) in page.items():
        lines.append(f"# TYPE {name} {kind}")
        lines += [f"{series} {number(value)}" for series, value in samples.items()]
    return "".join(f"{line}\n" for line in lines)


def number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


class Ended:
    """What ended generations had counted."""

    def __init__(self) -> None:
        self._kept: Page = {}

    def add(self, page: str) -> None:
        """What its connections had moved when they were last seen counts too: nobody else will count it."""
        self._kept = total([self._kept, counted(read(living.folded(page)[0]))])

    def merged(self, current: str, older: Iterable[str]) -> str:
        """The page of the one in charge with those of `older`, still living ones, and of the ended ones."""
        rest = [read(page) for page in older if page]
        if not rest and not self._kept:
            return current
        return text(total([read(current), *rest, self._kept]))
