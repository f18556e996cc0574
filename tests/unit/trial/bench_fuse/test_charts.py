"""Charts are well-formed, to scale, and draw what is infinite to the edge."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from plait.trial.bench_fuse.charts import Bar, bars

NS = "{http://www.w3.org/2000/svg}"


def drawn(svg: str) -> tuple[list[float], list[str]]:
    """Widths of the bars (not of the background), and all texts."""
    root = ElementTree.fromstring(svg)
    widths = [float(each.attrib["width"]) for each in root.iter(f"{NS}rect") if each.attrib.get("height") == "16"]
    return widths, [each.text or "" for each in root.iter(f"{NS}text")]


def test_bars_are_as_long_as_their_values() -> None:
    widths, texts = drawn(bars("t", "ms", [Bar("a", (2.0,), 1.0, 3.0), Bar("b", (1.0,), 1.0, 1.0)]))
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2)
    assert "2 ms" in texts and "b" in texts


def test_parts_follow_one_another_and_have_a_legend() -> None:
    widths, texts = drawn(bars("t", "", [Bar("a", (1.0, 3.0), 4.0, 4.0)], names=("first", "second")))
    assert widths[1] == pytest.approx(3 * widths[0], abs=0.3)
    assert {"first", "second", "4"} <= set(texts)


def test_a_negative_saving_goes_to_the_left_and_infinity_to_the_edge() -> None:
    svg = bars("t", "%", [Bar("a", (-50.0,), -math.inf, 10.0), Bar("b", (50.0,), 40.0, 60.0)], target=60.0)
    widths, texts = drawn(svg)
    assert widths[0] == pytest.approx(widths[1], abs=0.2) and "target 60" in texts
    assert "inf" not in svg.replace("infinit", "")


def test_names_are_escaped() -> None:
    assert drawn(bars("a < b & c", "", [Bar("<x>", (1.0,), 1.0, 1.0)]))[1][:2] == ["a < b & c", "<x>"]


def test_nothing_but_zeros_can_be_drawn() -> None:
    assert drawn(bars("t", "", [Bar("a", (0.0,), 0.0, 0.0)]))[0] == []
