"""`plait explain` offline, as a command: text for people, documented JSON, and what there is when a name is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plait.cli import main

SAMPLES = Path(__file__).parents[2] / "samples"
WORLD = Path(__file__).parent / "translate" / "l7" / "world.yaml"
FILES = [f"--filename={path}" for path in (SAMPLES / "l7", WORLD)]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main.main(["explain", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_samples_are_explained_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = run(capsys, "shop/order", "shop/dispatch", *FILES, "--request", "get", "/x")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert code == 0
    assert "waypoint shop/waypoint" in lines
    assert "HTTPRoute shop/dispatch route waypoint" in lines
    assert "route: HTTPRoute/shop/dispatch shop.dispatch.0" in lines
    assert "verdict: allowed: nobody refuses it" in lines


def test_a_limit_is_explained_with_its_one_place(capsys: pytest.CaptureFixture[str]) -> None:
    limits = f"--filename={SAMPLES / 'limits' / 'limits.yaml'}"
    _, text, _ = run(capsys, "shop/order", "shop/dispatch", *FILES, limits)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "LimitPolicy shop/dispatch each-caller, logins rate-limit waypoint server node proxy" in lines


def test_json_has_the_fields_that_help_names(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = run(capsys, "shop/order", "shop/dispatch", *FILES, "--request", "GET", "/x", "-o", "json")
    found: list[dict[str, Any]] = json.loads(text)
    _, help_text, _ = run(capsys, "--help")
    assert code == 0
    fields = {*found[0], *found[0]["path"][0], *found[0]["enforcement"][0], *found[0]["verdict"]}
    assert "as" in fields and "taken_for" not in fields
    assert [field for field in sorted(fields) if field not in help_text] == []


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("shop/nobody", "shop/dispatch"), "order-5d9c7b6f4-abcde"),
        (("shop/order", "shop/nobody"), "dispatch"),
        (("shop/order", "shop/dispatch", "-H", "x"), "name: value"),
        (("shop/order", "shop/dispatch", "-o", "xml"), "table, json, yaml"),
    ],
)
def test_what_cannot_be_read_exits_2_and_says_the_way_out(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], wanted: str
) -> None:
    code, out, said = run(capsys, *arguments, *FILES, "--request", "GET", "/")
    assert (code, out) == (2, "")
    assert wanted in said
