"""What RE2 refuses, said in its words; `tests/e2e/test_expressions.py` asks the real one."""

from __future__ import annotations

import pytest

from plait.base.regexes import PROGRAM_SIZE, refused


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("/api/v[0-9]+/users/[a-z0-9-]{1,63}(?:/.*)?", ""),
        ("(?=x)", "invalid perl operator: (?="),
        ("(a", "missing ): (a"),
        ("a)", "unexpected ): a)"),
        ("[a", "missing ]: [a"),
        ("x*+", "bad repetition operator: *+"),
        ("|*", "no argument for repetition operator: *"),
        ("a{1001}", "invalid repetition size: {1001}"),
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("\\", "trailing \\"),
        ("\ud800", "not text"),
    ],
)
def test_the_complaint_names_what_is_wrong(expression: str, why: str) -> None:
    assert refused(expression).startswith(why) and bool(refused(expression)) == bool(why)


def test_a_program_beyond_envoys_bound_is_told_with_its_size() -> None:
    assert refused("b" * (PROGRAM_SIZE - 10)) == ""
    assert "too large" in refused("b" * PROGRAM_SIZE)
    assert "too large" in refused(f"({'b' * 100}){{1000}}")
