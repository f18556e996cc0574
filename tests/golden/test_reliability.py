"""docs/reliability.md and the marks of tests say the same: each mark has its line, each named test its mark."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "reliability.md"
NUMBERS = range(1, 36)


def numbers(node: ast.AST) -> Iterator[int]:
    """Of the marks below `node`, as `@pytest.mark.reliability(number=30)` writes them."""
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and ast.unparse(each.func) == "pytest.mark.reliability":
            (keyword,) = each.keywords
            assert keyword.arg == "number" and isinstance(keyword.value, ast.Constant), ast.unparse(each)
            assert isinstance(keyword.value.value, int)
            yield keyword.value.value


def marked() -> set[tuple[int, str]]:
    """Number and file of every mark; this file names the mark without making one."""
    files = [path for path in sorted(TESTS.rglob("test_*.py")) if "reliability(" in path.read_text()]
    return {
        (number, str(path.relative_to(TESTS)))
        for path in files
        if path != Path(__file__)
        for number in numbers(ast.parse(path.read_text()))
    }


def rows() -> dict[int, list[str]]:
    found = re.findall(r"^\| (\d+) \|(.*)\|$", PAGE.read_text(), re.MULTILINE)
    return {int(number): [cell.strip() for cell in rest.split(" | ")] for number, rest in found}


def test_every_number_has_one_line_with_every_column() -> None:
    assert list(rows()) == list(NUMBERS)
    assert {number: len(cells) for number, cells in rows().items() if len(cells) != 5} == {}


def test_marks_and_page_name_the_same_tests() -> None:
    named = {(number, test) for number, cells in rows().items() for test in re.findall(r"\w+/test_\w+\.py", cells[2])}
    assert marked() - named == set(), "write these into docs/reliability.md"
    assert named - marked() == set(), "mark these tests with @pytest.mark.reliability(number=...)"


def test_a_line_that_nothing_shows_says_what_is_missing() -> None:
    for number, (_, _, shown, _, missing) in rows().items():
        assert shown != "–" or missing != "–", f"{number}: neither shown nor missing"
