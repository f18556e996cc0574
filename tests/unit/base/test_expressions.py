"""What no proxy evaluates, as the real Envoy 1.40 was found to refuse it."""

from __future__ import annotations

import pytest

from plait.base.expressions import plain_text, refused


@pytest.mark.parametrize(
    "expression",
    [
        "response.code >= 400",
        "has(request.headers.x) && request.headers['x'].startsWith('a')",
        "size(request.host) > 3 ? 1 : 2",
        "re.extract(request.host, '(a)', 'b')",
        "request.time.getFullYear() == 2026",
        "request.method in ['GET', 'PUT']",
        "request.host.matches('a.*')",
        "{'all': 1}.all == 1",
    ],
)
def test_what_a_proxy_evaluates_is_taken(expression: str) -> None:
    assert refused(expression) == ""


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("response.code >=", "expression"),
        ("%X%", "expression"),
        ("", "expression"),
        ("nope(1)", "no function nope"),
        ("string(1) == '1'", "no function string"),
        ("request.host.lowerAscii()", "no function lowerAscii"),
        ("[1].exists(x, x > 0)", "loop"),
        ("request.host.matches('(')", "missing )"),
    ],
)
def test_what_it_refuses_is_told(expression: str, why: str) -> None:
    assert why in refused(expression)


def test_a_text_in_quotes_is_taken_as_it_is() -> None:
    assert (plain_text("'a b'"), plain_text('"it\'s"'), plain_text("''")) == ("a b", "it's", "")
    assert plain_text("'a' + 'b'") is None and plain_text("a") is None
